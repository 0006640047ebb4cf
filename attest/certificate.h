/*
 * attest/certificate.h - parts of a certificate that is being made. Needs libcrypto.
 */
#pragma once

#include <openssl/x509.h>
#include <stdbool.h>

/* A positive random number of 16 bytes: RFC 5280, section 4.1.2.2, allows 20. */
bool certificate_set_serial(X509 *c);
/* Its subject is this CN alone. */
bool certificate_set_name(X509 *c, const char *name);
