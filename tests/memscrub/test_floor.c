/* tests/memscrub/test_floor.c - what is read out of a machine's files; the machines here are
 * folders. */
#include "memscrub/memscrub.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char root[64];

/* Writes a file below the machine's root, and the folders that it lies in. */
static void put(const char *path, const char *text)
{
	char full[512];
	FILE *f;

	snprintf(full, sizeof(full), "%s%s", root, path);
	for (char *slash = strchr(full + strlen(root) + 1, '/'); slash;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(full, 0700);
		*slash = '/';
	}
	f = fopen(full, "we");
	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static void drop(const char *path)
{
	char full[512];

	snprintf(full, sizeof(full), "%s%s", root, path);
	assert_int_equal(unlink(full), 0);
}

static int make_machine(void **state)
{
	(void)state;
	strcpy(root, "build/scrub-floor.XXXXXX");
	if (!mkdtemp(root))
		return -1;
	put("/proc/cmdline", "BOOT_IMAGE=/vmlinuz root=/dev/sda1 ro quiet\n");
	put("/proc/sys/kernel/osrelease", "6.1.0-18-amd64\n");
	put("/proc/sys/kernel/core_pattern", "core\n");
	put("/proc/swaps", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n");
	put("/sys/kernel/mm/ksm/run", "0\n");
	put("/sys/kernel/mm/ksm/pages_shared", "0\n");
	put("/sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]\n");
	put("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "0\n");
	put("/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages", "0\n");
	put("/sys/kernel/kexec_crash_loaded", "0\n");
	put("/sys/module/zswap/parameters/enabled", "N\n");
	put("/sys/power/state", "freeze mem\n");
	put("/sys/block/sda/size", "1\n");
	return 0;
}

static int drop_machine(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", root);
	return system(command);
}

static enum scrub_answer ask(enum scrub_floor_fact fact)
{
	struct scrub_floor f;

	scrub_floor_read(root, &f);
	assert_true(strlen(f.facts[fact].why) > 0);
	return f.facts[fact].answer;
}

static bool kernel(char ret_why[static 256])
{
	struct scrub_floor f;

	scrub_floor_read(root, &f);
	return scrub_floor_kernel(&f, ret_why);
}

static void the_command_line_is_read_as_the_kernel_reads_it(void **state)
{
	static const struct {
		const char *line;
		enum scrub_answer free;
	} cases[] = {
		{ "init_on_free=1", SCRUB_YES },
		{ "ro init_on_free=on quiet", SCRUB_YES },
		{ "init_on_free=Y", SCRUB_YES },
		{ "init-on-free=1", SCRUB_YES },
		{ "\"init_on_free=1\"", SCRUB_YES },
		{ "init_on_free=\"1\"", SCRUB_YES },
		{ "init_on_free=0", SCRUB_NO },
		{ "init_on_free=off", SCRUB_NO },
		{ "init_on_free=1 init_on_free=0", SCRUB_NO },
		{ "init_on_free=0 init_on_free=1", SCRUB_YES },
		{ "init_on_free=1 init_on_free=maybe", SCRUB_YES },
		{ "init_on_free=1 page_poison=1", SCRUB_NO },
		{ "page_poison=on init_on_free=1", SCRUB_NO },
		{ "init_on_free=1 page_poison=0", SCRUB_YES },
		{ "init_on_free", SCRUB_UNKNOWN },
		{ "init_on_free=", SCRUB_UNKNOWN },
		{ "init_on_free=o", SCRUB_UNKNOWN },
		{ "init_on_free=2", SCRUB_UNKNOWN },
		{ "xinit_on_free=1", SCRUB_UNKNOWN },
		{ "init_on_freely=1", SCRUB_UNKNOWN },
		{ "init_on_alloc=1", SCRUB_UNKNOWN },
		{ "quiet -- init_on_free=1", SCRUB_UNKNOWN },
		{ "dyndbg=\"file a.c init_on_free=1 +p\"", SCRUB_UNKNOWN },
		{ "dyndbg=\"a b\" init_on_free=1", SCRUB_YES },
		{ "", SCRUB_UNKNOWN },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char why[256];

		put("/proc/cmdline", cases[i].line);
		if (ask(FLOOR_INIT_ON_FREE) != cases[i].free)
			fail_msg("%s", cases[i].line);
		assert_int_equal(kernel(why), cases[i].free == SCRUB_YES);
		assert_null(strchr(why, '\n'));
	}
}

static void without_a_word_the_configuration_decides(void **state)
{
	static const char *const places[] = { "/boot/config-6.1.0-18-amd64",
					      "/lib/modules/6.1.0-18-amd64/config" };

	(void)state;
	put("/proc/cmdline", "ro\n");
	assert_int_equal(ask(FLOOR_INIT_ON_FREE), SCRUB_UNKNOWN);
	put("/boot/config-6.1.0-17-amd64", "CONFIG_INIT_ON_FREE_DEFAULT_ON=y\n");
	assert_int_equal(ask(FLOOR_INIT_ON_FREE), SCRUB_UNKNOWN); /* another kernel's */
	for (size_t i = 0; i < 2; i++) {
		put(places[i], "CONFIG_INIT_ON_ALLOC_DEFAULT_ON=y\n"
			       "# CONFIG_INIT_ON_FREE_DEFAULT_ON is not set\n");
		assert_int_equal(ask(FLOOR_INIT_ON_FREE), SCRUB_NO);
		assert_int_equal(ask(FLOOR_INIT_ON_ALLOC), SCRUB_YES);
		put(places[i], "CONFIG_INIT_ON_FREE_DEFAULT_ON=y\n");
		assert_int_equal(ask(FLOOR_INIT_ON_FREE), SCRUB_YES);
		assert_int_equal(ask(FLOOR_INIT_ON_ALLOC), SCRUB_UNKNOWN);
		put("/proc/cmdline", "ro init_on_free=0\n");
		assert_int_equal(ask(FLOOR_INIT_ON_FREE), SCRUB_NO);
		put("/proc/cmdline", "ro page_poison=1\n");
		assert_int_equal(ask(FLOOR_INIT_ON_FREE), SCRUB_NO);
		put("/proc/cmdline", "ro\n");
		drop(places[i]);
	}
}

static void an_old_kernel_does_not_know_the_parameter(void **state)
{
	static const struct {
		const char *release;
		enum scrub_answer free;
	} cases[] = { { "4.19.0-26-amd64\n", SCRUB_NO },
		      { "5.2.17\n", SCRUB_NO },
		      { "5.3.0\n", SCRUB_YES },
		      { "6.1.0-18-amd64\n", SCRUB_YES } };

	(void)state;
	put("/proc/cmdline", "init_on_free=1\n");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		put("/proc/sys/kernel/osrelease", cases[i].release);
		assert_int_equal(ask(FLOOR_INIT_ON_FREE), cases[i].free);
	}
}

static void copies_that_the_kernel_may_make(void **state)
{
	static const struct {
		enum scrub_floor_fact fact;
		const char *path, *no, *yes;
	} cases[] = {
		{ FLOOR_SWAP, "/proc/swaps", "Filename Type\n",
		  "Filename Type\n/dev/sda2  partition 1 0 -2\n" },
		{ FLOOR_ZSWAP, "/sys/module/zswap/parameters/enabled", "N\n", "Y\n" },
		{ FLOOR_ZRAM, "/sys/block/zram0/disksize", "0\n", "1073741824\n" },
		{ FLOOR_KSM, "/sys/kernel/mm/ksm/run", "0\n", "1\n" },
		{ FLOOR_KSM, "/sys/kernel/mm/ksm/pages_shared", "0\n", "7\n" },
		{ FLOOR_THP, "/sys/kernel/mm/transparent_hugepage/enabled",
		  "always madvise [never]\n", "[always] madvise never\n" },
		{ FLOOR_THP, "/sys/kernel/mm/transparent_hugepage/enabled",
		  "always madvise [never]\n", "always [madvise] never\n" },
		{ FLOOR_CRASH_KERNEL, "/sys/kernel/kexec_crash_loaded", "0\n", "1\n" },
		{ FLOOR_HIBERNATION, "/sys/power/state", "freeze mem\n", "freeze mem disk\n" },
		{ FLOOR_CORE_PIPE, "/proc/sys/kernel/core_pattern", "core\n",
		  "|/lib/systemd/systemd-coredump %P\n" },
		{ FLOOR_HUGETLB, "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages",
		  "0\n", "16\n" },
		{ FLOOR_HUGETLB, "/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages",
		  "0\n", "1\n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		put(cases[i].path, cases[i].no);
		if (ask(cases[i].fact) != SCRUB_NO)
			fail_msg("%s: %s", cases[i].path, cases[i].no);
		put(cases[i].path, cases[i].yes);
		if (ask(cases[i].fact) != SCRUB_YES)
			fail_msg("%s: %s", cases[i].path, cases[i].yes);
		put(cases[i].path, cases[i].no);
	}
}

static void hibernation_can_be_locked(void **state)
{
	(void)state;
	put("/sys/power/state", "freeze mem disk\n");
	put("/sys/power/disk", "[disabled]\n");
	assert_int_equal(ask(FLOOR_HIBERNATION), SCRUB_NO);
	put("/sys/power/disk", "[platform] shutdown\n");
	assert_int_equal(ask(FLOOR_HIBERNATION), SCRUB_YES);
}

/* A kernel without the thing, and a machine where one cannot look. */
static void absent_is_no_and_unreadable_is_unknown(void **state)
{
	struct scrub_floor f;
	char why[256];

	(void)state;
	drop("/proc/swaps");
	drop("/sys/module/zswap/parameters/enabled");
	drop("/sys/kernel/mm/ksm/run");
	drop("/sys/kernel/kexec_crash_loaded");
	assert_int_equal(ask(FLOOR_SWAP), SCRUB_NO);
	assert_int_equal(ask(FLOOR_ZSWAP), SCRUB_NO);
	assert_int_equal(ask(FLOOR_KSM), SCRUB_NO);
	assert_int_equal(ask(FLOOR_CRASH_KERNEL), SCRUB_NO);

	scrub_floor_read("build/there-is-no-machine-here", &f);
	for (int i = 0; i < FLOOR_FACTS; i++)
		assert_int_equal(f.facts[i].answer, SCRUB_UNKNOWN);
	assert_false(scrub_floor_kernel(&f, why));
	assert_non_null(strstr(why, "not known"));
}

static void the_reason_names_what_the_kernel_leaves_out(void **state)
{
	char why[256];

	(void)state;
	put("/proc/cmdline", "init_on_free=1\n");
	assert_true(kernel(why));
	assert_null(strstr(why, "; not"));
	put("/proc/swaps", "Filename Type\n/dev/sda2  partition 1 0 -2\n");
	put("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "16\n");
	assert_true(kernel(why));
	assert_non_null(strstr(why, "swapped"));
	assert_non_null(strstr(why, "huge pages"));
}

static void facts_have_names_and_titles(void **state)
{
	(void)state;
	for (int i = 0; i < FLOOR_FACTS; i++) {
		assert_true(strlen(scrub_floor_name((enum scrub_floor_fact)i)) > 0);
		assert_true(strlen(scrub_floor_title((enum scrub_floor_fact)i)) > 0);
	}
	assert_string_equal(scrub_floor_name(FLOOR_INIT_ON_FREE), "init_on_free");
	assert_string_equal(scrub_answer_str(SCRUB_UNKNOWN), "unknown");
	assert_string_equal(scrub_answer_str(SCRUB_YES), "yes");
}

static void this_machine_can_be_read(void **state)
{
	struct scrub_floor f;
	char why[256];

	(void)state;
	scrub_floor_read("", &f);
	assert_int_not_equal(f.facts[FLOOR_SWAP].answer, SCRUB_UNKNOWN);
	assert_int_equal(scrub_floor_kernel(&f, why),
			 f.facts[FLOOR_INIT_ON_FREE].answer == SCRUB_YES);
}

#define ON_A_MACHINE(test) cmocka_unit_test_setup_teardown(test, make_machine, drop_machine)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_A_MACHINE(the_command_line_is_read_as_the_kernel_reads_it),
		ON_A_MACHINE(without_a_word_the_configuration_decides),
		ON_A_MACHINE(an_old_kernel_does_not_know_the_parameter),
		ON_A_MACHINE(copies_that_the_kernel_may_make),
		ON_A_MACHINE(hibernation_can_be_locked),
		ON_A_MACHINE(absent_is_no_and_unreadable_is_unknown),
		ON_A_MACHINE(the_reason_names_what_the_kernel_leaves_out),
		cmocka_unit_test(facts_have_names_and_titles),
		cmocka_unit_test(this_machine_can_be_read),
	};

	return cmocka_run_group_tests_name("floor", tests, NULL, NULL);
}
