#!/usr/bin/python3
"""tests/keyd/client.py FOLDER PORT CASE [ARGUMENT...] - what a guest, good or bad, sees of a
key service that test_keyd has started. FOLDER has tls.pem and what keyd_forge made. A case
that does not hold ends with a traceback."""

import base64
import json
import resource
import socket
import ssl
import sys
import threading
import time

from kbs import Closed, Connection, Guest, Host, canonical, is_error, unb64u
from cryptography.hazmat.primitives.asymmetric import ec

FOLDER, PORT = sys.argv[1], int(sys.argv[2])
DATA_KEY = "acme/volume/data-key"


def connect(**options):
    return Connection(PORT, f"{FOLDER}/tls.pem", **options)


def descriptor(tenant="acme"):
    with open(f"{FOLDER}/descriptor.toml", encoding="utf-8") as f:
        return f.read().replace('tenant = "acme"', f'tenant = "{tenant}"')


def host(name="production"):
    return Host(FOLDER, name)


def attested(c=None, name="production", tenant="acme", **changes):
    g = Guest(c or connect())
    assert g.auth().status == 200
    r = g.attest(g.attestation(host(name), descriptor(tenant), **changes))
    assert r.status == 200, r.body
    return g


def secret(g, wanted=b"a secret of acme"):
    r = g.resource(DATA_KEY)
    assert r.status == 200, r.body
    assert g.open(r.body) == wanted
    return r


# ---- the protocol --------------------------------------------------------------------


def a_guest_gets_its_key():
    g = attested()
    first, second = secret(g), secret(g)
    assert first.body != second.body  # sealed anew, with a new ephemeral key
    head = unb64u(first.json()["protected"]).decode()
    assert head.startswith('{"alg":"ECDH-ES+A256KW","enc":"A256GCM","epk":{"crv":"P-256",'), head
    assert first.header("Cache-Control") == "no-store"


def a_p521_guest_gets_its_key():
    g = Guest(connect(), ec.SECP521R1())
    g.auth()
    assert g.attest(g.attestation(host(), descriptor())).status == 200
    secret(g)


def cookies_are_for_tls_and_scripts_cannot_read_them():
    g = Guest(connect())
    cookie = g.auth().header("Set-Cookie")
    parts = [p.strip() for p in cookie.split(";")]
    assert len(parts[0].split("=")[1]) == 32 and parts[0].startswith("kbs-session-id=")
    assert {"HttpOnly", "Secure", "SameSite=Strict"} <= set(parts), cookie


def a_token_is_a_jws_with_an_end():
    g = Guest(connect())
    g.auth()
    token = g.attest(g.attestation(host(), descriptor())).json()["token"]
    head, claims, _ = [unb64u(p) for p in token.split(".")]
    claims = json.loads(claims)
    assert json.loads(head)["alg"] == "ES256"
    assert isinstance(claims["exp"], int) and claims["exp"] > time.time()
    cpu = claims["submods"]["cpu0"]
    assert cpu["ear.status"] in ("affirming", "warning")
    key = cpu["ear.veraison.annotated-evidence"]["runtime_data_claims"]["tee-pubkey"]
    assert key == g.pubkey


def the_version_is_exact():
    for version in ("0.4.1", "0.3.0", "0.4", "1.0.0"):
        detail = is_error(Guest(connect()).auth(version=version), 400, "AttestationError")
        assert "KBS Client Protocol Version Mismatch" in detail, detail


def sample_is_refused():
    for tee in ("sample", "sampledevice", "sgx", "nonsense"):
        is_error(Guest(connect()).auth(tee=tee), 403, "AttestationError")


def a_session_attests_once():
    g = attested()
    is_error(g.attest(g.attestation(host(), descriptor())), 401, "TokenNotFound")
    secret(g)  # what it has, it keeps


def a_nonce_is_for_one_try():
    g = Guest(connect())
    g.auth()
    bad = g.attestation(host("stranger"), descriptor())
    is_error(g.attest(bad), 403, "AttestationError")
    is_error(g.attest(g.attestation(host(), descriptor())), 401, "TokenNotFound")


def evidence_for_another_nonce_is_refused():
    g, other = Guest(connect()), Guest(connect())
    g.auth(), other.auth()
    other.pubkey = g.pubkey
    message = other.attestation(host(), descriptor())
    message["runtime-data"]["nonce"] = g.nonce
    is_error(g.attest(message), 403, "AttestationError")


def evidence_for_another_key_is_refused():
    g, other = Guest(connect()), Guest(connect())
    g.auth()
    message = g.attestation(host(), descriptor())
    message["runtime-data"]["tee-pubkey"] = other.pubkey
    is_error(g.attest(message), 403, "AttestationError")


def evidence_of_another_descriptor_is_refused():
    g = Guest(connect())
    g.auth()
    message = g.attestation(host(), descriptor())
    message["init-data"]["body"] = descriptor("globex")
    is_error(g.attest(message), 403, "AttestationError")


def evidence_without_a_descriptor_is_refused():
    g = Guest(connect())
    g.auth()
    message = g.attestation(host(), descriptor())
    message["init-data"] = None
    is_error(g.attest(message), 403, "AttestationError")


def evidence_of_no_form_is_refused():
    shapes = [None, 1, "x", [], {}, {"token": 1}, {"token": "a.b.c"}, {"token": "", "x": 1}]
    for shape in shapes:
        g = Guest(connect())
        g.auth()
        message = g.attestation(host(), descriptor())
        message["tee-evidence"]["primary_evidence"] = shape
        is_error(g.attest(message), 403, "AttestationError")


def kinds_that_cannot_be_judged_are_refused():
    for tee in ("snp", "tdx", "cordon-simulated"):
        g = Guest(connect())
        assert g.auth(tee=tee).status == 200
        is_error(g.attest(g.attestation(host(), descriptor())), 403, "AttestationError")


def every_no_of_a_release_is_the_same_answer():
    other = attested(tenant="globex")
    developer = attested(name="development")
    wrong = attested(workload={"coverage": "rootfs", "digest": "34" * 32})
    answers = {
        developer.resource(DATA_KEY).body,
        wrong.resource(DATA_KEY).body,
        other.resource(DATA_KEY).body,
        attested().resource("acme/volume/no-such-key").body,
        attested().resource("globex/volume/data-key").body,
        attested().resource("NOT_A_TENANT/volume/data-key").body,
        attested().resource(f"acme/{'v' * 200}/data-key").body,
    }
    assert len(answers) == 1, answers
    is_error(other.resource(DATA_KEY), 403, "PolicyDeny")


def without_a_session_there_is_nothing():
    c = connect()
    path = f"/kbs/v0/resource/{DATA_KEY}"
    fake = "0123456789abcdef" * 2
    for headers in (
        [],
        [("Cookie", f"kbs-session-id={fake}")],
        [("Cookie", "kbs-session-id=../../etc")],
        [("Cookie", f"kbs-session-id={fake}; kbs-session-id={fake}")],
        [("Authorization", "Bearer a.b.c")],
    ):
        is_error(c.request("GET", path, None, headers), 401, "TokenNotFound")
    g = Guest(c)
    g.auth()
    is_error(g.resource(DATA_KEY), 401, "TokenNotFound")  # not attested
    g = Guest(connect())
    g.nonce = base64.b64encode(bytes(32)).decode()
    is_error(g.attest(g.attestation(host(), descriptor())), 401, "TokenNotFound")


def paths_have_one_spelling():
    g = attested()
    is_error(g.c.request("GET", "/kbs/v0/nothing"), 404, "InvalidRequestPath")
    is_error(g.c.request("GET", "/kbs/v0/resource/a/b"), 404, "InvalidRequestPath")
    is_error(g.c.request("GET", "/kbs/v0/resource/a/b/.c"), 404, "InvalidRequestPath")
    is_error(g.c.request("GET", "/kbs/v0/resource/a//b/c"), 404, "InvalidRequestPath")
    is_error(g.c.request("GET", "//kbs/v0/resource/a/b/c"), 404, "InvalidRequestPath")
    secret(g)
    r = g.c.request("GET", f"/kbs/v0/resource//{DATA_KEY}", None, g.headers())
    assert g.open(r.body) == b"a secret of acme"  # a tool of theirs writes it so
    r = g.c.request("PUT", "/kbs/v0/auth", b"{}")
    is_error(r, 405, "InvalidRequestPath")
    assert r.header("Allow") == "POST"
    g = attested()
    r = g.c.request("DELETE", f"/kbs/v0/resource/{DATA_KEY}", None, g.headers())
    is_error(r, 405, "InvalidRequestPath")
    assert r.header("Allow") == "GET"


def messages_are_strict():
    deep = b'{"version":"0.4.0","tee":"snp","extra-params":' + b"[" * 2000 + b"]" * 2000 + b"}"
    for body in (
        b"",
        b"{",
        b"[]",
        b'{"tee":"snp"}',
        b'{"version":"0.4.0","version":"0.4.0","tee":"snp","extra-params":""}',
        b'{"version":"0.4.0","tee":"sn\\u0000p","extra-params":""}',
        b'{"version":"0.4.0","tee":"\xff","extra-params":""}',
        b'{"version":"0.4.0","tee":"snp","extra-params":""} x',
        deep,
    ):
        is_error(connect().request("POST", "/kbs/v0/auth", body), 400, "SerdeError")
    g = Guest(connect())
    g.auth()
    good = g.attestation(host(), descriptor())
    for change in (
        lambda m: m["runtime-data"].update(nonce="short"),
        lambda m: m["runtime-data"].update(nonce=g.nonce.rstrip("=")),
        lambda m: m["runtime-data"].pop("nonce"),
        lambda m: m["runtime-data"].update({"tee-pubkey": {}}),
        lambda m: m["runtime-data"]["tee-pubkey"].update(d="AA"),
        lambda m: m["runtime-data"]["tee-pubkey"].update(alg="RSA1_5"),
        lambda m: m["tee-evidence"].update(additional_evidence='{"nvidia":{}}'),
        lambda m: m.update({"init-data": {"format": "json", "body": "{}"}}),
    ):
        message = json.loads(json.dumps(good))
        change(message)
        is_error(g.attest(message), 400, "SerdeError")
    nested = json.loads(json.dumps(good))
    nested["tee-evidence"]["primary_evidence"] = 0
    text = canonical(nested).replace('"primary_evidence":0', '"primary_evidence":' + "[" * 90000)
    is_error(g.attest(text.encode()), 400, "SerdeError")
    wide = canonical(nested).replace(
        '"primary_evidence":0', '"primary_evidence":[' + ",".join("0" * 300000) + "]"
    )
    is_error(g.attest(wide.encode()), 400, "SerdeError")
    # None of these was an attempt: the nonce is as good as new.
    assert g.attest(good).status == 200


def one_connection_serves_many_requests():
    c = connect()
    for _ in range(20):
        assert Guest(c).auth().status == 200
    body = b'{"version":"0.4.0","tee":"snp","extra-params":""}'
    one = (
        b"POST /kbs/v0/auth HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    )
    c.send(one * 3)  # pipelined: answered in order
    for _ in range(3):
        assert c.response().status == 200
    c.send(one.replace(b"Host: x", b"Host: x\r\nConnection: close"))
    r = c.response()
    assert r.status == 200 and r.header("Connection") == "close" and c.ended()


def a_client_may_wait_for_100_continue():
    c = connect()
    body = b'{"version":"0.4.0","tee":"snp","extra-params":""}'
    head = "POST /kbs/v0/auth HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: "
    c.send(head.encode() + str(len(body)).encode() + b"\r\n\r\n")
    assert c.response().status == 100
    c.send(body)
    assert c.response().status == 200
    c.send(head.replace("auth", "none").encode() + b"7\r\n\r\n")
    is_error(c.response(), 404, "InvalidRequestPath")  # refused without its body
    assert c.ended()


# ---- the network ---------------------------------------------------------------------

AUTH = b"POST /kbs/v0/auth HTTP/1.1\r\n"
BODY = b'{"version":"0.4.0","tee":"snp","extra-params":""}'
LENGTH = b"Content-Length: %d\r\n" % len(BODY)


def auth(*lines, end=b"\r\n", first=AUTH):
    return first + b"".join(lines) + end + BODY


HOST = b"Host: x\r\n"
BAD_HTTP = {
    "two lengths": (400, auth(HOST, LENGTH, b"Content-Length: 5\r\n")),
    "a length twice": (400, auth(HOST, LENGTH, LENGTH)),
    "a length with a sign": (400, auth(HOST, b"Content-Length: +3\r\n")),
    "a length in hex": (400, auth(HOST, b"Content-Length: 0x3\r\n")),
    "a list of lengths": (400, auth(HOST, b"Content-Length: 3, 3\r\n")),
    "a huge length": (400, auth(HOST, b"Content-Length: 99999999999999999999\r\n")),
    "no length": (411, auth(HOST)),
    "a folded line": (400, auth(HOST, b"X: a\r\n b\r\n", LENGTH)),
    "bare LF": (400, auth(HOST, LENGTH).replace(b"\r\n", b"\n")),
    "one bare LF": (400, auth(b"Host: x\n", LENGTH)),
    "a bare CR": (400, auth(HOST, b"X: a\rb\r\n", LENGTH)),
    "no host": (400, auth(LENGTH)),
    "two hosts": (400, auth(HOST, HOST, LENGTH)),
    "a space before the colon": (400, auth(HOST, b"Content-Length : 3\r\n")),
    "a space before the first field": (400, auth(b" Host: x\r\n", LENGTH)),
    "NUL in a value": (400, auth(HOST, b"X: a\0b\r\n", LENGTH)),
    "a byte that is not ASCII": (400, auth(HOST, b"X: \xe9\r\n", LENGTH)),
    "length and chunked": (400, auth(HOST, LENGTH, b"Transfer-Encoding: chunked\r\n")),
    "chunked": (411, auth(HOST, b"Transfer-Encoding: chunked\r\n")),
    "another coding": (501, auth(HOST, b"Transfer-Encoding: gzip, chunked\r\n")),
    "HTTP/1.0": (505, auth(HOST, LENGTH, first=b"POST /kbs/v0/auth HTTP/1.0\r\n")),
    "HTTP/2": (501, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "an absolute target": (400, auth(HOST, LENGTH, first=b"POST http://x/a HTTP/1.1\r\n")),
    "%2f": (400, b"GET /kbs/v0/resource/a%2fb/c/d HTTP/1.1\r\nHost: x\r\n\r\n"),
    "%2e%2e": (400, b"GET /kbs/v0/resource/%2e%2e/c/d HTTP/1.1\r\nHost: x\r\n\r\n"),
    "..": (400, b"GET /kbs/v0/resource/../c/d HTTP/1.1\r\nHost: x\r\n\r\n"),
    ".": (400, b"GET /kbs/v0/./resource/a/c/d HTTP/1.1\r\nHost: x\r\n\r\n"),
    "two spaces": (400, auth(HOST, LENGTH, first=b"POST  /kbs/v0/auth HTTP/1.1\r\n")),
    "a method of its own": (501, auth(HOST, LENGTH, first=b"BREW /kbs/v0/auth HTTP/1.1\r\n")),
    "an empty line first": (400, b"\r\n" + auth(HOST, LENGTH)),
    "not HTTP at all": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\r\n" * 8),
    "a GET with a body": (400, b"GET /kbs/v0/x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"),
    "another expectation": (417, auth(HOST, LENGTH, b"Expect: 200-ok\r\n")),
    "a long target": (414, b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"),
    "many fields": (431, auth(HOST, LENGTH, b"X: a\r\n" * 500)),
}


def what_is_no_http_is_answered_and_closed():
    wrong = []
    for name, (status, data) in BAD_HTTP.items():
        c = connect()
        c.send(data)
        try:
            r = c.response()
            is_error(r, status, "HTTPFailed")
            assert r.header("Connection") == "close" and c.ended()
        except (Closed, AssertionError) as e:
            wrong.append((name, status, repr(e)))
        c.close()
    assert not wrong, wrong
    assert Guest(connect()).auth().status == 200


def a_second_request_cannot_hide_in_the_first():
    g = attested()
    hidden = b"GET /kbs/v0/resource/acme/volume/data-key HTTP/1.1\r\nHost: x\r\n\r\n"
    c = connect()
    c.send(auth(HOST, b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n") + hidden)
    is_error(c.response(), 400, "HTTPFailed")
    assert c.ended()
    c = connect()
    c.send(AUTH + HOST + b"Content-Length: %d\r\n\r\n" % len(hidden) + hidden)
    is_error(c.response(), 400, "SerdeError")  # a body, and nothing else
    secret(g)


def send_until_refused(c, piece, total):
    sent = 0
    try:
        while sent < total:
            c.send(piece)
            sent += len(piece)
    except (BrokenPipeError, ConnectionResetError, ssl.SSLError, TimeoutError, OSError):
        pass
    return sent


def heads_and_bodies_have_an_end():
    began = time.time()
    c = connect()
    c.send(AUTH + HOST)
    send_until_refused(c, b"X: " + b"a" * 16000 + b"\r\n", 16 << 20)
    try:
        is_error(c.response(), 431, "HTTPFailed")
    except Closed:
        pass  # what it still sends may cost it the answer, and nobody else anything
    g = Guest(connect())
    g.auth()
    for cookie, kind, status in ((g.cookie, "HTTPFailed", 413), ("a=b", "HTTPFailed", 413)):
        c = connect()
        c.send(
            b"POST /kbs/v0/attest HTTP/1.1\r\nHost: x\r\nCookie: %s\r\n" % cookie.encode()
            + b"Content-Length: 16777216\r\n\r\n"
        )
        is_error(c.response(), status, kind)
    c = connect()  # no session: refused before a byte of its body
    c.send(b"POST /kbs/v0/attest HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
    is_error(c.response(), 401, "TokenNotFound")
    assert time.time() - began < 10


def cut_after(data, piece, every, least, most):
    """Drips until the server has enough; seconds that took."""
    c = connect()
    began = time.time()
    c.sock.settimeout(every)
    c.send(data)
    while time.time() - began < most + 3:
        try:
            if not c.sock.recv(4096):
                break
        except TimeoutError:
            try:
                if piece:
                    c.send(piece)
            except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
                break
        except (ConnectionResetError, ssl.SSLError):
            break
    took = time.time() - began
    assert least <= took <= most, took


def plain_cut_after(most):
    s = socket.create_connection(("127.0.0.1", PORT), 10)
    began = time.time()
    s.settimeout(0.2)
    sent = 0
    while time.time() - began < most + 3:
        try:
            s.send(b"\x16\x03\x01\x02\x00"[sent % 5 : sent % 5 + 1] if sent < 5 else b"\x01")
            sent += 1
            if not s.recv(1):
                break
        except TimeoutError:
            pass
        except OSError:
            break
    assert time.time() - began <= most


def who_drips_is_cut(handshake, idle, head, request):
    """All at the same time; a good client goes on meanwhile."""
    handshake, idle, head, request = int(handshake), int(idle), int(head), int(request)
    g = Guest(connect())
    g.auth()
    attest = b"POST /kbs/v0/attest HTTP/1.1\r\nHost: x\r\nCookie: %s\r\n" % g.cookie.encode()
    jobs = [
        (cut_after, (AUTH, b"X", 0.2, head - 0.5, head + 1.5)),
        (cut_after, (attest + b"Content-Length: 9999\r\n\r\n", b"{", 0.2, request - 0.5, request + 1.5)),
        (cut_after, (b"", b"", 0.2, idle - 0.5, idle + 1.5)),
        (plain_cut_after, (handshake + 1.5,)),
    ]
    failed = []

    def run(job, arguments):
        try:
            job(*arguments)
        except BaseException as e:  # noqa: shown below
            failed.append((arguments, repr(e)))

    threads = [threading.Thread(target=run, args=j) for j in jobs]
    for t in threads:
        t.start()
    while any(t.is_alive() for t in threads):
        began = time.time()
        c = connect()
        secret(attested(c))
        c.close()
        assert time.time() - began < 2
        time.sleep(0.3)
    assert not failed, failed


def idle_connections_hurt_nobody(count):
    """More than there may be, from many addresses, a part of them with TLS."""
    count = int(count)
    resource.setrlimit(resource.RLIMIT_NOFILE, (count + 100, count + 100))
    held = []
    for i in range(count):
        source = f"127.0.{1 + i // 250}.{1 + i % 250}"
        try:
            if i % 10 == 0:
                held.append(connect(source=source, timeout=5).sock)
            else:
                held.append(
                    socket.create_connection(("127.0.0.1", PORT), 5, (source, 0))
                )
        except OSError:
            pass
        if i % 200 == 0:
            began = time.time()
            c = connect()
            secret(attested(c))
            c.close()
            assert time.time() - began < 3, (i, time.time() - began)
    began = time.time()
    for _ in range(10):
        c = connect()
        secret(attested(c))
        c.close()
    assert time.time() - began < 10


def one_address_has_its_share(share):
    """Of one address the longest idle one gives way to the next."""
    share = int(share)
    first = connect(source="127.0.9.1")
    others = [connect(source="127.0.9.1") for _ in range(share)]
    assert first.ended()
    assert Guest(others[-1]).auth().status == 200
    assert Guest(connect()).auth().status == 200


def challenges_have_a_rate(most):
    """Of one address; the others do not notice."""
    c, seen = connect(source="127.0.9.2"), []
    for _ in range(int(most) + 5):
        try:
            seen.append(Guest(c).auth().status)
        except Closed:
            c = connect(source="127.0.9.2")
    assert set(seen) == {200, 429}, seen
    assert seen.count(200) <= int(most) + 5
    assert Guest(connect()).auth().status == 200


# ---- crashes -------------------------------------------------------------------------


def before_a_crash(path):
    """Leaves a used session, one that is attested, and one that is not, behind."""
    used = Guest(connect())
    used.auth()
    message = used.attestation(host(), descriptor())
    is_error(used.attest(dict(message, **{"init-data": None})), 403, "AttestationError")
    g, fresh = attested(), Guest(connect())
    fresh.auth()
    key = g.key.private_numbers().private_value
    with open(path, "w", encoding="utf-8") as f:
        json.dump([used.cookie, message, g.cookie, key, fresh.cookie], f)


def after_a_crash(path):
    """What was used stays so; who was attested is; a challenge is still good."""
    with open(path, encoding="utf-8") as f:
        used, message, cookie, key, fresh = json.load(f)
    g = Guest(connect())
    g.cookie = used
    is_error(g.attest(message), 401, "TokenNotFound")
    g.cookie, g.key = cookie, ec.derive_private_key(key, ec.SECP256R1())
    secret(g)
    is_error(g.attest(message), 401, "TokenNotFound")
    g.cookie = fresh  # another nonce: consumed by this
    is_error(g.attest(message), 401, "TokenNotFound")
    secret(attested())


def a_verifier_that_dies_is_a_refusal():
    """The test kills the verifier of this call."""
    g = Guest(connect())
    g.auth()
    r = g.attest(g.attestation(host(), descriptor()))
    assert r.status in (403, 500, 503), r.status
    is_error(g.resource(DATA_KEY), 401, "TokenNotFound")


def others_go_on():
    secret(attested())


if __name__ == "__main__":
    globals()[sys.argv[3]](*sys.argv[4:])
