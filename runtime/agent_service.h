/*
 * runtime/agent_service.h - where a key service is, and which certificate proves it: the
 * descriptor's `service` (https://HOST[:PORT][/PATH]) and `service_ca` (sha256:HEX) taken
 * apart. The keeper gives HOST and PORT to cordon-proxy, the agent checks the rest. libc only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define SERVICE_CA 32u

struct agent_service {
	char host[254];         /* a DNS name, or an address without brackets */
	bool is_address;        /* then the certificate must name the address */
	char port[6];           /* "443" where none is named */
	char authority[264];    /* HOST[:PORT] as written: the Host field */
	char prefix[513];       /* "" or "/PATH", without a "/" at its end */
	uint8_t ca[SERVICE_CA]; /* SHA-256 of the certificate in DER */
};

/* False: one of them is not of its form, or a host name is longer than any. */
bool agent_service_parse(const char *service, const char *service_ca,
			 struct agent_service *ret);
