"""tests/keyd/kbs.py - a client of the KBS protocol 0.4.0, written from the protocol's
description and not from our C: HTTP over a TLS socket by hand, evidence signed with
jwcrypto, resources opened as the guests of Confidential Containers do."""

import base64
import hashlib
import json
import socket
import ssl
import time

from cryptography.hazmat.primitives import hashes, keywrap
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash
from jwcrypto import jwk, jws


def b64u(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64u(text):
    """Strict: the guests' decoder refuses padding and a second spelling."""
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if b64u(data) != text:
        raise ValueError("not base64url without padding")
    return data


def canonical(value):
    """RFC 8785 for what occurs here: objects and texts of ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


class Response:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    def header(self, name):
        found = [v for n, v in self.headers if n.lower() == name.lower()]
        assert len(found) <= 1, f"{name} is there {len(found)} times"
        return found[0] if found else None


class Closed(Exception):
    """The server has ended the connection (before a whole answer came)."""


class Connection:
    """One TLS connection; raw bytes go out, strict answers come in."""

    def __init__(self, port, ca, host="127.0.0.1", source=None, timeout=20):
        self.context = ssl.create_default_context(cafile=ca)
        plain = socket.create_connection(
            (host, port), timeout, (source, 0) if source else None
        )
        try:
            self.sock = self.context.wrap_socket(plain, server_hostname=host)
        except BaseException:
            plain.close()
            raise
        self.left = b""

    def close(self):
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)

    def _more(self):
        try:
            data = self.sock.recv(65536)
        except (ConnectionResetError, BrokenPipeError, ssl.SSLEOFError):
            data = b""
        if not data:
            raise Closed
        self.left += data

    def ended(self):
        """The server says nothing more."""
        try:
            self._more()
        except Closed:
            return True
        return False

    def response(self):
        while b"\r\n\r\n" not in self.left:
            self._more()
        head, self.left = self.left.split(b"\r\n\r\n", 1)
        lines = head.decode("ascii").split("\r\n")
        version, status, _ = lines[0].split(" ", 2)
        assert version == "HTTP/1.1", lines[0]
        headers = [tuple(line.split(": ", 1)) for line in lines[1:]]
        if status == "100":
            return Response(100, headers, b"")
        length = [int(v) for n, v in headers if n.lower() == "content-length"]
        assert len(length) == 1, "one Content-Length"
        while len(self.left) < length[0]:
            self._more()
        body, self.left = self.left[: length[0]], self.left[length[0] :]
        return Response(int(status), headers, body)

    def request(self, method, path, body=None, headers=()):
        lines = [f"{method} {path} HTTP/1.1", "Host: keys.example"]
        lines += [f"{n}: {v}" for n, v in headers]
        data = b"" if body is None else body
        if body is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {len(data)}"]
        self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + data)
        return self.response()


class Host:
    """A host's attestation key, and what it says of sessions."""

    def __init__(self, folder, name):
        with open(f"{folder}/{name}.key", "rb") as f:
            self.key = jwk.JWK.from_pem(f.read())
        with open(f"{folder}/{name}.leaf", "rb") as f:
            self.leaf = base64.b64encode(f.read()).decode()

    def token(self, report_data, descriptor, **changes):
        facts = {
            "cordon": {"digest": "44" * 32, "fault_points": False},
            "descriptor": {"digest": hashlib.sha256(descriptor.encode()).hexdigest()},
            "filter": {"digest": "22" * 32},
            "host": {
                "boot_id": "01234567-89ab-cdef-0123-456789abcdef",
                "id": "host-1.example",
                "init_on_free": True,
                "kernel_release": "6.1.0-1-amd64",
            },
            "iat": int(time.time()),
            "key": {"custody": "file"},
            "launcher": {"uid": 0},
            "plan": {"digest": "11" * 32},
            "report_data": report_data.hex(),
            "schema": "cordon.sandbox-evidence/1",
            "workload": {"coverage": "rootfs", "digest": "33" * 32},
        }
        facts.update(changes)
        token = jws.JWS(canonical(facts).encode())
        head = {"alg": "ES256", "typ": "cordon-sandbox+jwt", "x5c": [self.leaf]}
        token.add_signature(self.key, None, json.dumps(head), None)
        return token.serialize(compact=True)


class Guest:
    """One session: its ephemeral key, its cookie."""

    def __init__(self, connection, curve=ec.SECP256R1()):
        self.c = connection
        self.key = ec.generate_private_key(curve)
        numbers = self.key.public_key().public_numbers()
        self.size = (curve.key_size + 7) // 8
        self.pubkey = {
            "alg": "ECDH-ES+A256KW",
            "crv": {"secp256r1": "P-256", "secp521r1": "P-521"}[curve.name],
            "kty": "EC",
            "x": b64u(numbers.x.to_bytes(self.size, "big")),
            "y": b64u(numbers.y.to_bytes(self.size, "big")),
        }
        self.cookie = None
        self.nonce = None

    def headers(self):
        return [("Cookie", self.cookie)] if self.cookie else []

    def take_cookie(self, r):
        value = r.header("Set-Cookie")
        if value:
            self.cookie = value.split(";", 1)[0]

    def auth(self, tee="cordon-sandbox", version="0.4.0"):
        request = {
            "version": version,
            "tee": tee,
            "extra-params": {"supported-hash-algorithms": ["sha256", "sha384"]},
        }
        r = self.c.request("POST", "/kbs/v0/auth", json.dumps(request).encode())
        if r.status == 200:
            self.take_cookie(r)
            challenge = r.json()
            assert set(challenge) == {"nonce", "extra-params"}, challenge
            self.nonce = challenge["nonce"]
            assert len(base64.b64decode(self.nonce, validate=True)) == 32
        return r

    def report_data(self):
        binding = {
            "additional-evidence": "",
            "nonce": self.nonce,
            "tee-pubkey": self.pubkey,
        }
        digest = hashlib.sha384(canonical(binding).encode()).digest()
        return digest + bytes(64 - len(digest))

    def attestation(self, host, descriptor, **changes):
        token = host.token(self.report_data(), descriptor, **changes)
        return {
            "init-data": {"format": "toml", "body": descriptor},
            "runtime-data": {"nonce": self.nonce, "tee-pubkey": self.pubkey},
            "tee-evidence": {
                "primary_evidence": {"token": token},
                "additional_evidence": "",
            },
        }

    def attest(self, message):
        body = message if isinstance(message, bytes) else json.dumps(message).encode()
        r = self.c.request("POST", "/kbs/v0/attest", body, self.headers())
        self.take_cookie(r)
        return r

    def resource(self, path):
        return self.c.request("GET", f"/kbs/v0/resource/{path}", None, self.headers())

    def open(self, text):
        """As the guest does it: the header is parsed and written again for the AAD."""
        sealed = json.loads(text)
        assert set(sealed) == {"protected", "encrypted_key", "iv", "ciphertext", "tag"}
        head = json.loads(unb64u(sealed["protected"]))
        again = {"alg": head.pop("alg"), "enc": head.pop("enc"), **dict(sorted(head.items()))}
        again["epk"] = {k: again["epk"][k] for k in ("crv", "kty", "x", "y")}
        aad = b64u(json.dumps(again, separators=(",", ":")).encode()).encode()
        curve = self.key.curve
        epk = ec.EllipticCurvePublicNumbers(
            int.from_bytes(unb64u(again["epk"]["x"]), "big"),
            int.from_bytes(unb64u(again["epk"]["y"]), "big"),
            curve,
        ).public_key()
        alg = again["alg"].encode()
        info = len(alg).to_bytes(4, "big") + alg + bytes(8) + (256).to_bytes(4, "big")
        z = self.key.exchange(ec.ECDH(), epk)
        kek = ConcatKDFHash(hashes.SHA256(), 32, info).derive(z)
        cek = keywrap.aes_key_unwrap(kek, unb64u(sealed["encrypted_key"]))
        return AESGCM(cek).decrypt(
            unb64u(sealed["iv"]), unb64u(sealed["ciphertext"]) + unb64u(sealed["tag"]), aad
        )


def is_error(r, status, kind):
    """Every answer but 200 has the two members."""
    body = r.json()
    prefix = "https://github.com/confidential-containers/kbs/errors/"
    assert r.status == status, (r.status, r.body)
    assert set(body) == {"type", "detail"}, body
    assert body["type"] == prefix + kind, body
    assert r.header("Content-Type") == "application/json"
    return body["detail"]
