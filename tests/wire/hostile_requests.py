"""Sixty and more requests that nobody well-meaning sends, and what each of them may lead to.

Data only: `tests/wire/test_http.py` feeds them to the service, `tests/cli/test_http.py` sends them to a
real server whose folder is surrounded by a secret. Paths that leave the folder lead to that secret.
"""

from __future__ import annotations

#: What must never be seen.
SECRET = b"-- the secret outside --"

H = b"\r\nHost: a\r\n\r\n"


def get(target: bytes) -> bytes:
    return b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n"


def with_fields(*fields: bytes, method: bytes = b"GET", target: bytes = b"/small.txt") -> bytes:
    return b"\r\n".join([method + b" " + target + b" HTTP/1.1", b"Host: a", *fields, b"", b""])


#: name → (the bytes, the status of the last answer)
TRAVERSAL: dict[str, tuple[bytes, int]] = {
    "dots": (get(b"/../secret.txt"), 404),
    "dots deep": (get(b"/sub/../../secret.txt"), 404),
    "dots, many": (get(b"/" + b"../" * 40 + b"etc/passwd"), 404),
    "dots, that stay inside": (get(b"/sub/../small.txt"), 404),
    "dots encoded": (get(b"/%2e%2e/secret.txt"), 404),
    "dots encoded in capitals": (get(b"/%2E%2E/secret.txt"), 404),
    "dots half encoded": (get(b"/.%2e/secret.txt"), 404),
    "slash encoded": (get(b"/..%2fsecret.txt"), 404),
    "slash encoded, inside": (get(b"/sub%2finner.txt"), 404),
    "all encoded": (get(b"/%2e%2e%2fsecret.txt"), 404),
    "encoded twice": (get(b"/%252e%252e%252fsecret.txt"), 404),
    "backslash": (get(b"/..\\secret.txt"), 404),
    "backslash encoded": (get(b"/..%5csecret.txt"), 404),
    "overlong slash": (get(b"/..%c0%afsecret.txt"), 404),
    "overlong dots": (get(b"/%c0%ae%c0%ae/secret.txt"), 404),
    "utf-16 escape": (get(b"/%u002e%u002e/secret.txt"), 400),
    "NUL encoded": (get(b"/small.txt%00"), 404),
    "NUL before the end": (get(b"/..%00/secret.txt"), 404),
    "NUL in plain": (get(b"/small.txt\0"), 400),
    "semicolon": (get(b"/..;/secret.txt"), 404),
    "absolute path": (get(b"//etc/passwd"), 404),
    "absolute path encoded": (get(b"/%2fetc/passwd"), 404),
    "file URL": (get(b"file:///etc/passwd"), 400),
    "absolute form with dots": (get(b"http://a/../secret.txt"), 404),
    "dots at the end": (get(b"/sub/.."), 404),
    "a dot": (get(b"/./small.txt"), 404),
    "link that leaves": (get(b"/out/secret.txt"), 404),
    "link to a file outside": (get(b"/secret-link"), 404),
    "home": (get(b"/~root/"), 404),
    "device": (get(b"/dev/zero"), 404),
    "hidden": (get(b"/.hidden"), 404),
    "redirect to another host": (get(b"//evil.example/%2e%2e"), 404),
    "new lines in the address": (get(b"/sub%0d%0aSet-Cookie:%20a=b"), 404),
}
MALFORMED: dict[str, tuple[bytes, int]] = {
    "no version": (b"GET /small.txt" + H, 400),
    "version of its own": (b"GET / HTTP/9" + H, 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "version 0.9": (b"GET / HTTP/0.9" + H, 505),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "two blanks": (b"GET  / HTTP/1.1" + H, 400),
    "tab for a blank": (b"GET\t/\tHTTP/1.1" + H, 400),
    "blank in the address": (get(b"/small .txt"), 400),
    "no slash": (get(b"small.txt"), 400),
    "fragment": (get(b"/small.txt#top"), 400),
    "broken percent": (get(b"/%zz"), 400),
    "percent at the end": (get(b"/a%2"), 400),
    "signed percent": (get(b"/%+1"), 400),
    "not ASCII": (get(b"/\xff"), 400),
    "escape codes": (get(b"/\x1b[2J"), 400),
    "no Host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two Hosts": (with_fields(b"Host: b"), 400),
    "Host with a path": (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    "blank before the colon": (with_fields(b"X : y"), 400),
    "no colon": (with_fields(b"X"), 400),
    "nameless field": (with_fields(b": y"), 400),
    "NUL in a field": (with_fields(b"X: a\0b"), 400),
    "folded field": (with_fields(b"X: a\r\n b"), 400),
    "folded first line": (b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400),
    "bare LF": (b"GET / HTTP/1.1\nHost: a\n\n", 400),
    "bare LF in a field": (with_fields(b"X: a\nY: b"), 400),
    "bare CR in a field": (with_fields(b"X: a\rY: b"), 400),
    "empty lines for ever": (b"\r\n" * 40, 400),
    "unknown method": (with_fields(method=b"BREW"), 501),
    "small letters": (with_fields(method=b"get"), 501),
    "method of symbols": (with_fields(method=b"G@T"), 400),
    "POST": (with_fields(b"Content-Length: 0", method=b"POST"), 405),
    "CONNECT": (b"CONNECT a:443 HTTP/1.1" + H, 405),
    "TRACE": (with_fields(method=b"TRACE"), 405),
    "OPTIONS *": (with_fields(method=b"OPTIONS", target=b"*"), 405),
    "unknown expectation": (with_fields(b"Expect: a-miracle"), 417),
}
SMUGGLING: dict[str, tuple[bytes, int]] = {
    "both lengths": (with_fields(b"Content-Length: 4", b"Transfer-Encoding: chunked") + b"0\r\n\r\n" + get(b"/"), 400),
    "both lengths, other order": (with_fields(b"Transfer-Encoding: chunked", b"Content-Length: 5") + b"0\r\n\r\n", 400),
    "two lengths": (with_fields(b"Content-Length: 0", b"Content-Length: 40") + get(b"/"), 400),
    "the same length twice": (with_fields(b"Content-Length: 1", b"Content-Length: 1") + b"x", 400),
    "length as a list": (with_fields(b"Content-Length: 1, 1") + b"x", 400),
    "negative length": (with_fields(b"Content-Length: -1"), 400),
    "signed length": (with_fields(b"Content-Length: +1") + b"x", 400),
    "length in hex": (with_fields(b"Content-Length: 0x1") + b"x", 400),
    "length of other digits": (with_fields(b"Content-Length: \xd9\xa1"), 400),
    "length beyond numbers": (with_fields(b"Content-Length: " + b"9" * 400), 400),
    "coding with a tab": (with_fields(b"Transfer-Encoding:\x0bchunked"), 400),
    "coding twice": (with_fields(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"), 501),
    "coding unknown": (with_fields(b"Transfer-Encoding: xchunked"), 501),
    "coding as a list": (with_fields(b"Transfer-Encoding: gzip, chunked"), 501),
    "coding in 1.0": (b"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "chunk without a size": (with_fields(b"Transfer-Encoding: chunked") + b"\r\nabc\r\n0\r\n\r\n", 400),
    "chunk size signed": (with_fields(b"Transfer-Encoding: chunked") + b"-1\r\nabc\r\n0\r\n\r\n", 400),
    "chunk size beyond numbers": (with_fields(b"Transfer-Encoding: chunked") + b"f" * 30 + b"\r\n", 400),
    "chunk longer than said": (with_fields(b"Transfer-Encoding: chunked") + b"1\r\nabc\r\n0\r\n\r\n", 400),
}
TOO_LARGE: dict[str, tuple[bytes, int]] = {
    "address": (get(b"/" + b"a" * 9000), 414),
    "address without an end": (b"GET /" + b"a" * 20_000, 414),
    "field": (with_fields(b"X: " + b"a" * 17_000), 431),
    "field without an end": (b"GET / HTTP/1.1\r\nX: " + b"a" * 70_000, 431),
    "many fields": (with_fields(*[b"X: y"] * 200), 431),
    "body": (with_fields(b"Content-Length: 99999999999"), 413),
    "body of chunks": (with_fields(b"Transfer-Encoding: chunked") + (b"fff\r\n" + b"a" * 0xFFF + b"\r\n") * 20, 413),
    "chunks of one byte": (with_fields(b"Transfer-Encoding: chunked") + b"1\r\na\r\n" * 20_000, 413),
    "extension": (with_fields(b"Transfer-Encoding: chunked") + b"1;" + b"a" * 70_000, 400),
}
RANGES: dict[str, tuple[bytes, int]] = {
    "beyond the end": (with_fields(b"Range: bytes=99999999-"), 416),
    "nothing from the end": (with_fields(b"Range: bytes=-0"), 416),
    "beyond numbers": (with_fields(b"Range: bytes=" + b"9" * 5000 + b"-"), 416),
    "backwards": (with_fields(b"Range: bytes=5-2"), 200),
    "hundreds": (with_fields(b"Range: bytes=" + b",".join([b"0-"] * 500)), 200),
    "another unit": (with_fields(b"Range: bits=0-1"), 200),
    "signed": (with_fields(b"Range: bytes=-+1"), 200),
    "empty": (with_fields(b"Range: bytes="), 200),
    "condition that is none": (with_fields(b"If-Modified-Since: yesterday"), 200),
}
TABLES = {"path": TRAVERSAL, "form": MALFORMED, "smuggling": SMUGGLING, "size": TOO_LARGE, "range": RANGES}
HOSTILE = {f"{table}: {name}": case for table, cases in TABLES.items() for name, case in cases.items()}
