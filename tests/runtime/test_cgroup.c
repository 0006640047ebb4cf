/* tests/runtime/test_cgroup.c - each controller is found where a host has it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/cgroup.h"

static const uint8_t id[SESSION_ID_BYTES] = { 0xab };
#define LEAF "cordon-ab000000000000000000000000000000"

static void v1_hierarchies_are_found_one_by_one(void **state)
{
	const struct cgroup_host host = {
		.self = "9:name=systemd:/\n4:memory:/pods/a\n1:cpu,cpuacct:/\n0::/\n",
		.mountinfo = "32 31 0:29 / /cg/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
			     "35 31 0:32 / /cg/memory rw shared:9 - cgroup cgroup rw,memory\n",
	};
	char dir[CGROUP_PATH];
	size_t floor;

	(void)state;
	assert_true(cgroup_locate(&host, "memory", dir, &floor));
	assert_string_equal(dir, "/cg/memory/pods/a");
	assert_int_equal(floor, strlen("/cg/memory"));
	assert_true(cgroup_locate(&host, "cpu", dir, &floor));
	assert_string_equal(dir, "/cg/cpu");
	assert_false(cgroup_locate(&host, "pids", dir, &floor));
	assert_false(cgroup_locate(&host, NULL, dir, &floor));
}

static void a_mount_of_a_subtree_is_seen_as_such(void **state)
{
	const struct cgroup_host inside = {
		.self = "4:memory:/docker/x/y\n",
		.mountinfo =
			"35 31 0:32 /docker/x /cg/my\\040memory rw - cgroup cgroup rw,memory\n",
	};
	const struct cgroup_host elsewhere = {
		.self = "4:memory:/docker/xy\n",
		.mountinfo = inside.mountinfo,
	};
	char dir[CGROUP_PATH];
	size_t floor;

	(void)state;
	assert_true(cgroup_locate(&inside, "memory", dir, &floor));
	assert_string_equal(dir, "/cg/my memory/y");
	assert_false(cgroup_locate(&elsewhere, "memory", dir, &floor));
}

static void lines_that_are_no_mounts_are_passed_over(void **state)
{
	const struct cgroup_host host = {
		.self = "nonsense\n4:memory\n:::\n0::/a\n",
		.mountinfo = "1 2 3\n\n- -\n35 31 0:32 / /cg2 rw - cgroup2 cgroup rw\n",
	};
	char dir[CGROUP_PATH];
	size_t floor;

	(void)state;
	assert_false(cgroup_locate(&host, "memory", dir, &floor));
	assert_true(cgroup_locate(&host, NULL, dir, &floor));
	assert_string_equal(dir, "/cg2/a");
}

/* ---- a v2 tree of plain files stands in for the kernel's ------------------------- */

static char top[64];

static void put(const char *name, const char *text)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", top, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static int make_tree(void **state)
{
	char path[256];

	(void)state;
	snprintf(top, sizeof(top), "/tmp/cordon-cgroup-XXXXXX");
	if (!mkdtemp(top))
		return -1;
	snprintf(path, sizeof(path), "%s/user", top);
	if (mkdir(path, 0755) < 0)
		return -1;
	snprintf(path, sizeof(path), "%s/user/session", top);
	return mkdir(path, 0755);
}

static int remove_tree(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", top);
	return system(command);
}

static struct cgroup_host v2_host(void)
{
	static char mountinfo[256];

	snprintf(mountinfo, sizeof(mountinfo), "31 2 0:28 / %s rw - cgroup2 cgroup2 rw\n", top);
	return (struct cgroup_host){ .self = "0::/user/session\n", .mountinfo = mountinfo };
}

static void v2_takes_the_nearest_folder_that_passes_controllers_on(void **state)
{
	struct cgroup_host host = v2_host();
	struct cgroup cg;
	char want[256];

	(void)state;
	put("cgroup.controllers", "cpu memory pids\n");
	put("cgroup.subtree_control", "cpu memory pids\n");
	put("user/cgroup.controllers", "cpu memory pids\n");
	put("user/cgroup.subtree_control", "memory pids cpu\n");
	put("user/session/cgroup.controllers", "cpu memory\n"); /* pids is missing here */
	put("user/session/cgroup.subtree_control", "\n");
	cgroup_find_on(&host, CGROUP_ALL, false, id, &cg);
	assert_int_equal(cg.served, CGROUP_ALL);
	assert_int_equal(cg.n, 1);
	assert_true(cg.dirs[0].v2);
	snprintf(want, sizeof(want), "%s/user/" LEAF, top);
	assert_string_equal(cg.dirs[0].path, want);
}

static void v2_serves_what_the_kernel_has_and_no_more(void **state)
{
	struct cgroup_host host = v2_host();
	struct cgroup cg;

	(void)state;
	put("cgroup.controllers", "hugetlb\n");
	cgroup_find_on(&host, CGROUP_ALL, false, id, &cg);
	assert_int_equal(cg.served, 0);
	assert_int_equal(cg.n, 0);
	put("cgroup.controllers", "cpu pids\n");
	put("cgroup.subtree_control", "cpu pids\n");
	cgroup_find_on(&host, CGROUP_ALL, false, id, &cg);
	assert_int_equal(cg.served, CGROUP_PIDS | CGROUP_CPU);
}

static void hybrid_hosts_use_both(void **state)
{
	struct cgroup_host host = v2_host();
	static char mountinfo[512];
	struct cgroup cg;

	(void)state;
	put("cgroup.controllers", "pids\n");
	put("cgroup.subtree_control", "pids\n");
	snprintf(mountinfo, sizeof(mountinfo),
		 "%s3 2 0:9 / %s/user rw - cgroup cgroup rw,memory\n", host.mountinfo, top);
	host.mountinfo = mountinfo;
	host.self = "4:memory:/\n0::/\n";
	cgroup_find_on(&host, CGROUP_ALL, false, id, &cg);
	assert_int_equal(cg.served, CGROUP_MEMORY | CGROUP_PIDS);
	assert_int_equal(cg.n, 2);
	assert_false(cg.dirs[0].v2);
	assert_true(cg.dirs[1].v2);
}

static void a_missing_folder_is_already_removed(void **state)
{
	struct runtime_error e;

	(void)state;
	assert_int_equal(cgroup_remove("/tmp/cordon-no-such-folder", &e), RUNTIME_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(v1_hierarchies_are_found_one_by_one),
		cmocka_unit_test(a_mount_of_a_subtree_is_seen_as_such),
		cmocka_unit_test(lines_that_are_no_mounts_are_passed_over),
		cmocka_unit_test_setup_teardown(
			v2_takes_the_nearest_folder_that_passes_controllers_on, make_tree,
			remove_tree),
		cmocka_unit_test_setup_teardown(v2_serves_what_the_kernel_has_and_no_more,
						make_tree, remove_tree),
		cmocka_unit_test_setup_teardown(hybrid_hosts_use_both, make_tree, remove_tree),
		cmocka_unit_test(a_missing_folder_is_already_removed),
	};

	return cmocka_run_group_tests_name("cgroup", tests, NULL, NULL);
}
