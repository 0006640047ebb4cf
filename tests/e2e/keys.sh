# shellcheck shell=bash
# tests/e2e/keys.sh - a key service for development on the loopback, and policies that name
# its keys; sourced behind tests/e2e/lib.sh, for tests that first `cordon init --dir $T/dev`.
#
# workload                      the program that policies measure
# service, service_ca, socket   of the key service, once make_store was called
# P                             folder of the programs that run and that serve; B by default

workload=/usr/bin/cat
P=$B

make_store() {
	service=$(sed -n 's/.*service: *"\{0,1\}\(https:[^", ]*\).*/\1/p' "$T/dev/policy.yaml" | head -n 1)
	service_ca=$(grep -o 'sha256:[0-9a-f]\{64\}' "$T/dev/policy.yaml" | head -n 1)
	socket=$T/dev/keyd/store/admin.sock
	"$P/cordon-keyd" --init --config "$T/dev/keyd/keyd.yaml" >"$T/log" 2>&1
}
start_keyd() {
	"$P/cordon-keyd" --config "$T/dev/keyd/keyd.yaml" >"$T/keyd.out" 2>"$T/keyd.err" &
	echo $! >"$T/keyd.pid"
	soon 10 grep -q '^listening on ' "$T/keyd.out"
}
stop_keyd() { # whichever test started it
	local pid
	pid=$(cat "$T/keyd.pid" 2>/dev/null) || return 0
	rm -f "$T/keyd.pid"
	kill "$pid"
	soon 10 gone "$pid"
}
gone() { # PID; one that nobody has waited for yet counts
	! grep -qv ') Z ' "/proc/$1/stat" 2>/dev/null
}
key() {
	"$B/cordon-key" "$@" --socket "$socket"
}
keyd_log() {
	"$B/cordon-audit" show --log "$T/dev/keyd/store/log" --vkey "$T/dev/keyd/store/log.vkey" --json
}

# NAME, more lines on standard input: a policy, and the reference values of its session.
# CMD... is what will run.
policy_of() {
	local f=$T/$1.yaml head tenant plan
	shift
	head=$(cat)
	tenant=$(sed -n 's/^tenant: //p' <<<"$head")
	cat >"$f" <<-YAML
		$head
		seccomp: { profile: default }
		capabilities: []
		network: { mode: none }
		scrub: { held: wiped, kernel: none }
		keys:
		  - { name: data-key, resource: "kbs:///$tenant/volume/data-key",
		      service: "$service", service_ca: "$service_ca" }
		attestation:
		  classes: [sandbox]
		  accept: [development-anchor, coverage-binary, skipped-revocation]
		  workload: ["$(sha256sum <"$workload" | cut -d ' ' -f 1)"]
		  cordon: ["$(sha256sum <"$P/cordon-keeper" | cut -d ' ' -f 1)"]
	YAML
	plan=$("$B/cordon-policy" digest "$f" -- "$@")
	printf '  plan: ["%s"]\n' "$plan" >>"$f"
}
