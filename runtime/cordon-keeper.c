/* runtime/cordon-keeper.c - the program; see runtime/keeper.h. */
#include <stdio.h>
#include <string.h>

#include "runtime/keeper.h"

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		puts("cordon-keeper " CORDON_VERSION);
		return 0;
	}
	if (argc > 1) {
		fputs("cordon-keeper: started by `cordon run`, with no arguments\n", stderr);
		return 2;
	}
	return keeper_main();
}
