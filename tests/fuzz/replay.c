/*
 * tests/fuzz/replay.c - the main of a fuzz target that is not driven by libFuzzer: runs
 * every file of tests/fuzz/corpus/NAME/, where the program is called fuzz_NAME, or the
 * files given as arguments. No files is a failure: nothing was tested.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FILE_MAX (16u << 20)

/* All of it, in memory of exactly its size: a byte read behind the end is seen. */
static uint8_t *read_file(int folder, const char *name, size_t *ret_size)
{
	int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
	uint8_t *data = NULL;
	size_t size = 0, used = 0;
	struct stat st;
	ssize_t n = 1;

	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= FILE_MAX) {
		size = (size_t)st.st_size;
		data = malloc(size ? size : 1);
	}
	while (data && used < size && n > 0) {
		n = read(fd, data + used, size - used);
		used += n > 0 ? (size_t)n : 0;
	}
	close(fd);
	if (data && used < size) {
		free(data);
		data = NULL;
	}
	*ret_size = size;
	return data;
}

static int run_file(int folder, const char *name)
{
	size_t size = 0;
	uint8_t *data = read_file(folder, name, &size);

	if (!data) {
		fprintf(stderr, "%s: cannot be read\n", name);
		return -1;
	}
	/* Said before: what ends the program is then the last name on the screen. */
	if (getenv("VERBOSE"))
		fprintf(stderr, "%s\n", name);
	LLVMFuzzerTestOneInput(data, size);
	free(data);
	return 0;
}

static int run_folder(const char *path)
{
	DIR *folder = opendir(path);
	struct dirent *entry;
	int n = 0;

	if (!folder) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return -1;
	}
	while (n >= 0 && (entry = readdir(folder)))
		if (entry->d_name[0] != '.')
			n = run_file(dirfd(folder), entry->d_name) == 0 ? n + 1 : -1;
	closedir(folder);
	return n;
}

int main(int argc, char **argv)
{
	const char *name = strstr(program_invocation_short_name, "fuzz_");
	char path[256];
	int n = 0;

	for (int i = 1; i < argc && n >= 0; i++)
		n = run_file(AT_FDCWD, argv[i]) == 0 ? n + 1 : -1;
	if (argc == 1) {
		snprintf(path, sizeof(path), "tests/fuzz/corpus/%s", name ? name + 5 : "");
		n = run_folder(path);
	}
	if (n <= 0) {
		puts(n == 0 ? "not ok - no files" : "not ok - a file could not be read");
		return 1;
	}
	printf("ok - %d files\n", n);
	return 0;
}
