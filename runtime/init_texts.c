/* runtime/init_texts.c - the two files of `cordon init` that people read and change. */
#include "runtime/init.h"

#include <stdlib.h>
#include <unistd.h>

#include "attest/hex.h"

/* A YAML scalar in single quotes: a quote in it stands twice. */
static void put_quoted(FILE *to, const char *path, const char *below)
{
	fputc('\'', to);
	for (const char *c = path; *c; c++) {
		if (*c == '\'')
			fputc('\'', to);
		fputc(*c, to);
	}
	fprintf(to, "%s'\n", below);
}

static void put_place(FILE *to, const char *key, const struct init *i, const char *below)
{
	fprintf(to, "%s: ", key);
	put_quoted(to, i->dir, below);
}

/* Closes the stream of `*text`, which is the caller's then; NULL: it is not whole. */
static char *finish(FILE *to, char **text)
{
	bool bad = ferror(to);

	if (fclose(to) == 0 && !bad)
		return *text;
	free(*text);
	return NULL;
}

char *init_keyd_text(const struct init *i)
{
	char *text = NULL;
	size_t len = 0;
	FILE *to = open_memstream(&text, &len);

	if (!to)
		return NULL;
	fputs("# A key service for DEVELOPMENT, made by `cordon init`: its keys are plain\n"
	      "# files, and its anchor certifies whatever whoever holds these files wants.\n"
	      "keyd: 1\n"
	      "# Another port may stand here; `service:` in policies must follow.\n",
	      to);
	fprintf(to, "listen: '127.0.0.1:%u'\n", i->port);
	put_place(to, "certificate", i, "/keyd/server.pem");
	put_place(to, "key", i, "/keyd/server.key");
	fputs("# Whose hosts' evidence is believed.\n", to);
	put_place(to, "anchors", i, "/anchors");
	fputs("# Keys, policies, audit log, and admin.sock for `cordon key --socket`.\n", to);
	put_place(to, "store", i, "/keyd/store");
	fputs("# User ids that may use it beside the service's own.\n"
	      "admins: []\n",
	      to);
	return finish(to, &text);
}

char *init_policy_text(const struct init *i, const uint8_t ca[static INIT_DIGEST])
{
	char *text = NULL, hex[HEX_SIZE(INIT_DIGEST)];
	size_t len = 0;
	FILE *to = open_memstream(&text, &len);

	if (!to)
		return NULL;
	hex_print(ca, INIT_DIGEST, hex);
	fputs("# A sample policy for DEVELOPMENT, made by `cordon init`. It accepts below,\n"
	      "# by name, what no policy for production should accept.\n"
	      "cordon: 1\n"
	      "tenant: acme\n"
	      "isolation: { class: sandbox, shared-uid: refuse }\n"
	      "workload:\n"
	      "  command: [/usr/bin/sha256sum, /run/credentials/data-key]\n"
	      "seccomp: { profile: default }\n"
	      "capabilities: []\n"
	      "network: { mode: none }\n"
	      "keys:\n"
	      "  - name: data-key\n"
	      "    resource: kbs:///acme/volume/data-key\n",
	      to);
	fprintf(to, "    service: https://localhost:%u\n", i->port);
	fprintf(to, "    service_ca: sha256:%s\n", hex);
	fputs("scrub: { held: wiped, kernel: none }\n"
	      "audit: { witness: optional }\n"
	      "attestation:\n"
	      "  classes: [sandbox]\n"
	      "  # development-anchor: the host's key is certified by the anchor beside this\n"
	      "  #   file, whose own key lies there, too\n"
	      "  # coverage-binary: of the workload only the program's file is measured\n"
	      "  # skipped-revocation: the anchor publishes no list of what it has revoked\n"
	      "  accept: [development-anchor, coverage-binary, skipped-revocation]\n",
	      to);
	if (geteuid() != 0)
		fprintf(to, "  launcher-uid: %u\n", geteuid());
	fputs("  # To be filled in: the reference values. Without them a key service does not\n"
	      "  # store this policy. Run\n"
	      "  #   cordon measure --policy THIS-FILE\n"
	      "  # on a host that you trust, and put the lines that it prints here.\n",
	      to);
	return finish(to, &text);
}
