"""Requests that are odd, and yet of forms that clients, proxies and JSON libraries in the field send, or that scanners try.

Each is raw: what is sent is written out. `@TOKEN@`, `@UPLOAD@`, `@HASH@` and `@LENGTH@` stand for a good token, the ID of
an upload of ten parts, the hash of content that is there, and the body's length; `@@` for two letters that differ by whom
the request is sent to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

#: Uploaded before. No two end in the same file name, which tells which of them a view shows.
NAMES = (
    *("u1/plain.txt", "u1/照片.txt", "u1/😀.txt", "u1/é.txt", "u1/a b.txt", "u1/a+b.txt", "u1/100%.txt", "u1/a#b.txt"),
    *("u1/a?b.txt", "u1/a;b.txt", "u1/a&b=c.txt", "u1/a//double.txt", "u1/a:b@c.txt", "u1/~!$'()*,.txt", 'u1/q".txt'),
    *("u1/x|y^z`{}<>.txt", "u1/[1].txt", "u1/图片/照 片.txt", "u1/tab\t.txt", "u1/%2F.txt", "u1/café/naïve.txt"),
    "u1/" + "图" * 339 + ".txt",
)
#: Content of all of these.
CONTENT = b"what all of these names show"
#: Of an upload whose parts may be signed.
PARTS = 10


@dataclass(frozen=True)
class Request:
    title: str
    head: bytes
    body: bytes = b""
    #: How many answers come on the connection; the last one counts.
    answers: int = 1
    #: Whether the sender then says that nothing more will come.
    ends: bool = False

    def raw(self, values: Mapping[str, str]) -> bytes:
        """What is sent.

        :param values: by placeholder, but for the length.
        """

        def filled(text: bytes) -> bytes:
            for placeholder, value in values.items():
                text = text.replace(placeholder.encode(), value.encode())
            return text

        body = filled(self.body)
        return filled(self.head).replace(b"@LENGTH@", str(len(body)).encode()) + body


def line(title: str, text: str | bytes, **more: bool | int) -> Request:
    """A request without a body, by its request line; text is sent as UTF-8."""
    start = text.encode() if isinstance(text, str) else text
    return Request(f"line: {title}", start + b"\r\nHost: localhost\r\n\r\n", **more)  # type: ignore[arg-type]


def get(title: str, target: str | bytes, method: str = "GET") -> Request:
    target = target.encode() if isinstance(target, str) else target
    return line(title, method.encode() + b" " + target + b" HTTP/1.1")


NEEDED = b"operationID: odd\r\ntoken: @TOKEN@\r\n"
SIZED = b"Content-Length: @LENGTH@\r\n"
SIZE = b'{"size":53687091200}'


def post(
    title: str,
    headers: bytes = b"",
    body: bytes = SIZE,
    needed: bytes = NEEDED,
    framing: bytes = SIZED,
    start: bytes = b"POST /object/part_size HTTP/1.1",
    host: bytes = b"Host: localhost\r\n",
    **more: bool | int,
) -> Request:
    """A POST, by its headers or its body."""
    head = start + b"\r\n" + host + needed + framing + headers + b"\r\n"
    return Request(title, head, body, **more)  # type: ignore[arg-type]


def header(title: str, text: str | bytes, needed: bytes = NEEDED, host: bytes = b"Host: localhost\r\n") -> Request:
    """A good POST with one more header, or several; text is sent as latin-1."""
    lines = text.encode("latin-1") if isinstance(text, str) else text
    return post(f"header: {title}", lines + b"\r\n" if lines else b"", needed=needed, host=host)


def framed(title: str, framing: str | bytes, body: str | bytes = SIZE, version: str = "1.1", **more: bool | int) -> Request:
    """A POST by how its body's end is told."""
    framing = framing.encode() if isinstance(framing, str) else framing
    body = body.encode() if isinstance(body, str) else body
    start = b"POST /object/part_size HTTP/" + version.encode()
    return post(f"framing: {title}", b"", body, framing=framing + b"\r\n" if framing else b"", start=start, **more)


def chunked(title: str, body: str | bytes, **more: bool | int) -> Request:
    return framed(f"chunks: {title}", "Transfer-Encoding: chunked", body, **more)  # type: ignore[arg-type]


def chunk(data: bytes, size: bytes = b"", extension: bytes = b"") -> bytes:
    return (size or b"%x" % len(data)) + extension + b"\r\n" + data + b"\r\n"


LAST = b"0\r\n\r\n"


def json(title: str, body: str | bytes, route: str = "part_size") -> Request:
    """A body; text is sent as UTF-8."""
    body = body.encode() if isinstance(body, str) else body
    return post(
        f"json: {title}", b"Content-Type: application/json\r\n", body, start=f"POST /object/{route} HTTP/1.1".encode()
    )


def initiate(title: str, fields: str | bytes) -> Request:
    """Content that is there already, by a name of its own: the answer says which, and the record of what type."""
    fields = fields.encode() if isinstance(fields, str) else fields
    fixed = b'"hash":"@HASH@","size":%d,"partSize":5242880,"maxParts":1,"cause":""' % len(CONTENT)
    return json(f"initiate: {title}", b"{" + fixed + b"," + fields + b"}", "initiate_multipart_upload")


PLAIN = "/object/u1/plain.txt"
PHOTO = "/object/u1/照片.txt"

LINES = [
    get("a plain name", PLAIN),
    get("HEAD", PLAIN, "HEAD"),
    get("a name that is not there", "/object/u1/none.txt"),
    get("UTF-8, encoded", "/object/u1/%E7%85%A7%E7%89%87.txt"),
    get("UTF-8, encoded in lower case", "/object/u1/%e7%85%a7%e7%89%87.txt"),
    get("raw UTF-8", PHOTO),
    get("raw UTF-8, HEAD", PHOTO, "HEAD"),
    get("a raw emoji", "/object/u1/😀.txt"),
    get("raw UTF-8 of two bytes", "/object/u1/é.txt"),
    get("raw UTF-8 in two segments, one byte encoded", "/object/u1/café/na%C3%AFve.txt"),
    get("raw UTF-8 beside an encoded space", "/object/u1/图片/照%20片.txt"),
    get("raw UTF-8 and an encoded slash", "/object/u1%2F照片.txt"),
    get("raw UTF-8 and an encoded letter", "/object/%751/照片.txt"),
    get("raw UTF-8 and a query", PHOTO + "?type=video"),
    get("raw UTF-8 and an image's query", PHOTO + "?type=image&width=10&height=10"),
    get("raw UTF-8 and a good query", PHOTO + "?operationID=1"),
    get("raw UTF-8 of a name that is not there", "/object/u1/没有.txt"),
    get("raw UTF-8 and two slashes", "/object/u1//照片.txt"),
    get("1,024 bytes, raw", "/object/u1/" + "图" * 339 + ".txt"),
    get("1,024 bytes, encoded", "/object/u1/" + "%E5%9B%BE" * 339 + ".txt"),
    get("raw latin-1", b"/object/u1/\xe9.txt"),
    get("half a character, raw", b"/object/u1/\xe7\x85.txt"),
    get("half a character, encoded", "/object/u1/%E7%85.txt"),
    get("a byte that is no UTF-8, encoded", "/object/u1/%FF.txt"),
    get("raw UTF-8 in the query", PLAIN + "?name=照片"),
    get("raw UTF-8 in the query after a type", PLAIN + "?type=video&name=照片"),
    get("raw UTF-8 in the query before a type", PLAIN + "?name=照片&type=video"),
    get("raw UTF-8 in path and query", PHOTO + "?name=照片&type=video"),
    get("an absolute URL", "http://localhost" + PLAIN),
    get("an absolute URL with a port", "http://localhost:10002" + PLAIN),
    get("an absolute URL of another host", "http://example.org" + PLAIN),
    get("an absolute URL in capitals", "HTTP://LOCALHOST" + PLAIN),
    get("an absolute URL with raw UTF-8", "http://localhost" + PHOTO),
    get("an absolute URL with a query", "http://localhost" + PLAIN + "?type=video"),
    get("an absolute URL of https", "https://localhost" + PLAIN),
    get("an absolute URL without a path", "http://localhost"),
    get("no leading slash", PLAIN[1:]),
    get("an asterisk", "*"),
    get("an asterisk for OPTIONS", "*", "OPTIONS"),
    get("OPTIONS", PLAIN, "OPTIONS"),
    get("OPTIONS of a route", "/object/part_size", "OPTIONS"),
    line("HTTP/1.0", f"GET {PLAIN} HTTP/1.0"),
    line("HTTP/1.0 with raw UTF-8", f"GET {PHOTO} HTTP/1.0"),
    line("HTTP/1.9", f"GET {PLAIN} HTTP/1.9"),
    line("HTTP/2.0", f"GET {PLAIN} HTTP/2.0"),
    line("a version in lower case", f"GET {PLAIN} http/1.1"),
    line("no version", f"GET {PLAIN}"),
    line("a version of two digits", f"GET {PLAIN} HTTP/1.10"),
    line("a method in lower case", f"get {PLAIN} HTTP/1.1"),
    line("a method in two cases", f"Get {PLAIN} HTTP/1.1"),
    line("a method of one's own", f"FETCH {PLAIN} HTTP/1.1"),
    line("PUT", f"PUT {PLAIN} HTTP/1.1\r\nContent-Length: 0"),
    line("DELETE", f"DELETE {PLAIN} HTTP/1.1"),
    line("TRACE", f"TRACE {PLAIN} HTTP/1.1"),
    line("CONNECT", "CONNECT localhost:80 HTTP/1.1"),
    line("no method", f"{PLAIN} HTTP/1.1"),
    line("two spaces", f"GET  {PLAIN} HTTP/1.1"),
    line("a space at the end", f"GET {PLAIN} HTTP/1.1 "),
    line("a space at the begin", f" GET {PLAIN} HTTP/1.1"),
    line("a tab for a space", f"GET\t{PLAIN}\tHTTP/1.1"),
    get("a raw space", "/object/u1/a b.txt"),
    get("an encoded space", "/object/u1/a%20b.txt"),
    get("a plus", "/object/u1/a+b.txt"),
    get("an encoded plus", "/object/u1/a%2Bb.txt"),
    get("a raw tab", "/object/u1/tab\t.txt"),
    get("an encoded tab", "/object/u1/tab%09.txt"),
    get("a control character", "/object/u1/\x01.txt"),
    get("DEL", "/object/u1/\x7f.txt"),
    get("an encoded NUL", "/object/u1/plain.txt%00"),
    get("an encoded slash", "/object/u1%2Fplain.txt"),
    get("an encoded slash in lower case", "/object/u1%2fplain.txt"),
    get("a percent sign that is encoded", "/object/u1/100%25.txt"),
    get("an encoded %2F", "/object/u1/%252F.txt"),
    get("a percent sign alone", "/object/u1/100%.txt"),
    get("a percent sign at the end", PLAIN + "%"),
    get("a percent sign before other letters", "/object/u1/%zz.txt"),
    get("a percent sign and one digit", PLAIN + "%2"),
    get("a fragment", PLAIN + "#top"),
    get("a number sign in a name", "/object/u1/a#b.txt"),
    get("a number sign in a name, encoded", "/object/u1/a%23b.txt"),
    get("a number sign in a name and a query", "/object/u1/a#b.txt?type=video"),
    get("a fragment after a query", PLAIN + "?type=#video"),
    get("a question mark, encoded", "/object/u1/a%3Fb.txt"),
    get("a question mark alone", PLAIN + "?"),
    get("two question marks", PLAIN + "??type=video"),
    get("a semicolon", "/object/u1/a;b.txt"),
    get("a parameter", PLAIN + ";v=1"),
    get("an ampersand in a name", "/object/u1/a&b=c.txt"),
    get("a colon and an at sign", "/object/u1/a:b@c.txt"),
    get("punctuation", "/object/u1/~!$'()*,.txt"),
    get("a quotation mark", '/object/u1/q".txt'),
    get("brackets", "/object/u1/[1].txt"),
    get("what URLs should encode", "/object/u1/x|y^z`{}<>.txt"),
    get("a backslash", "/object\\u1\\plain.txt"),
    get("two slashes in front", "/" + PLAIN),
    get("two slashes before the name", "/object//u1/plain.txt"),
    get("two slashes in a name", "/object/u1//plain.txt"),
    get("two slashes in a name that has them", "/object/u1/a//double.txt"),
    get("a dot segment", "/object/./u1/plain.txt"),
    get("a dot segment in front", "/." + PLAIN),
    get("two dots", "/object/u1/../u1/plain.txt"),
    get("two dots in front", "/x/.." + PLAIN),
    get("two dots, encoded", "/object/%2e%2e/object/u1/plain.txt"),
    get("another case of the route", "/Object/u1/plain.txt"),
    get("an encoded route", "/%6Fbject/u1/plain.txt"),
    get("a slash at the end", PLAIN + "/"),
    get("no name", "/object/"),
    get("the name of a POST route", "/object/part_size"),
    get("an empty type", PLAIN + "?type="),
    get("a type without a value", PLAIN + "?type"),
    get("two types, the first empty", PLAIN + "?type=&type=video"),
    get("two types, the second empty", PLAIN + "?type=video&type="),
    get("a type in another case", PLAIN + "?Type=video"),
    get("an encoded key", PLAIN + "?%74ype=video"),
    get("empty pairs in a query", PLAIN + "?&&type=video&"),
    get("a semicolon in a pair", PLAIN + "?type=video;width=1"),
    get("a semicolon in another pair", PLAIN + "?a;b&type=video"),
    get("a bad escape in a pair", PLAIN + "?type=video%zz"),
    get("a bad escape in a key", PLAIN + "?%zz=1&type=video"),
    get("a percent sign at a query's end", PLAIN + "?type=video%"),
    get("a plus in a key", PLAIN + "?ty+pe=video"),
    get("a query of 4,000 bytes", PLAIN + "?a=" + "x" * 4000),
    get("a query of 8,000 bytes", PLAIN + "?a=" + "x" * 8000),
    get("a query of 9,000 bytes", PLAIN + "?a=" + "x" * 9000),
    get("a name of 8,000 bytes", "/object/u1/" + "x" * 8000),
    get("a query of 40,000 bytes", PLAIN + "?a=" + "x" * 40_000),
    Request("line: an empty line in front", b"\r\nGET /object/u1/plain.txt HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    Request("line: line feeds alone", b"GET /object/u1/plain.txt HTTP/1.1\nHost: localhost\n\n"),
    Request("line: no HTTP", b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n"),
    post("line: a slash after the route", start=b"POST /object/part_size/ HTTP/1.1"),
    post("line: two slashes before the route", start=b"POST /object//part_size HTTP/1.1"),
    post("line: the route in capitals", start=b"POST /object/PART_SIZE HTTP/1.1"),
    post("line: an encoded letter in the route", start=b"POST /object/part%5Fsize HTTP/1.1"),
    post("line: a query after the route", start=b"POST /object/part_size?size=1 HTTP/1.1"),
    post("line: raw UTF-8 after the route", start="POST /object/part_size?名=片 HTTP/1.1".encode()),
    post("line: a fragment after the route", start=b"POST /object/part_size#x HTTP/1.1"),
    post("line: an absolute URL of a route", start=b"POST http://localhost/object/part_size HTTP/1.1"),
    post("line: no such route", start=b"POST /object/none HTTP/1.1"),
    post("line: POST of a raw name", start="POST /object/u1/照片.txt HTTP/1.1".encode()),
]

HEADERS = [
    header("none more", ""),
    header("Cookie of 4,000 bytes", "Cookie: big=" + "c" * 4000),
    header("Cookie of 9,000 bytes", "Cookie: big=" + "c" * 9000),
    header("Cookie of 16,000 bytes", "Cookie: big=" + "c" * 16_000),
    header("Cookie of 32,700 bytes", "Cookie: big=" + "c" * 32_700),
    header("Cookie of 40,000 bytes", "Cookie: big=" + "c" * 40_000),
    header("three Cookies of 30,000 bytes", "\r\n".join(f"Cookie: c{n}=" + "c" * 30_000 for n in range(3))),
    header("Referer of 20,000 bytes", "Referer: http://h/?" + "r" * 20_000),
    header("Authorization of 12,000 bytes", "Authorization: Bearer " + "a" * 12_000),
    header("a name of 200 bytes", "X-" + "n" * 200 + ": 1"),
    header("60 more", "\r\n".join(f"X-H{n}: {n}" for n in range(60))),
    header("110 more", "\r\n".join(f"X-H{n}: {n}" for n in range(110))),
    header("180 more", "\r\n".join(f"X-H{n}: {n}" for n in range(180))),
    header("400 more", "\r\n".join(f"X-H{n}: {n}" for n in range(400))),
    header("no value", "X-Empty:"),
    header("a value of blanks", "X-Blank:  \t "),
    header("no blank after the colon", "", needed=b"operationID:odd\r\ntoken:@TOKEN@\r\n"),
    header("blanks around values", "", needed=b"operationID:  \t odd \t\r\ntoken:   @TOKEN@  \r\n"),
    header("a tab before a value", "", needed=b"operationID:\todd\r\ntoken:\t@TOKEN@\t\r\n"),
    header("names in capitals", "", needed=b"OPERATIONID: odd\r\nTOKEN: @TOKEN@\r\n"),
    header("names in lower case", "", needed=b"operationid: odd\r\ntoken: @TOKEN@\r\n"),
    header("names in mixed case", "", needed=b"OperationId: odd\r\nToKeN: @TOKEN@\r\n"),
    header("no operationID", "", needed=b"token: @TOKEN@\r\n"),
    header("an empty operationID", "", needed=b"operationID:\r\ntoken: @TOKEN@\r\n"),
    header("an underscore in operationID", "", needed=b"operation_ID: odd\r\ntoken: @TOKEN@\r\n"),
    header("no token", "", needed=b"operationID: odd\r\n"),
    header("an empty token", "", needed=b"operationID: odd\r\ntoken:\r\n"),
    header("another token", "", needed=b"operationID: odd\r\ntoken: x\r\n"),
    header("UTF-8 in the token", "", needed="operationID: odd\r\ntoken: 照片\r\n".encode()),
    header("UTF-8 in the operationID", "", needed="operationID: 操作\r\ntoken: @TOKEN@\r\n".encode()),
    header("the token twice", "token: @TOKEN@"),
    header("the token and another one", "token: x"),
    header("another token and the good one", "token: @TOKEN@", needed=b"operationID: odd\r\ntoken: x\r\n"),
    header("the token and an empty one", "token:"),
    header("an empty token and the good one", "token: @TOKEN@", needed=b"operationID: odd\r\ntoken:\r\n"),
    header("the operationID twice", "operationID: even"),
    header("an empty operationID and a good one", "operationID: x", needed=b"operationID:\r\ntoken: @TOKEN@\r\n"),
    header("a token with a comma", "", needed=b"operationID: odd\r\ntoken: x,@TOKEN@\r\n"),
    header("one header twice", "X-Twice: 1\r\nX-Twice: 2"),
    header("Content-Type of text", "Content-Type: text/plain"),
    header("Content-Type of a form", "Content-Type: application/x-www-form-urlencoded"),
    header("Content-Type of several parts", "Content-Type: multipart/form-data"),
    header("Content-Type of several parts with a boundary", "Content-Type: multipart/form-data; boundary=x"),
    header("Content-Type of no form", "Content-Type: ;;;=,"),
    header("an empty Content-Type", "Content-Type:"),
    header("a charset", "Content-Type: application/json; charset=gbk"),
    header("a charset of UTF-16", "Content-Type: application/json; charset=utf-16"),
    header("a charset that is none", 'Content-Type: application/json;charset="'),
    header("Content-Type in capitals", "CONTENT-TYPE: APPLICATION/JSON"),
    header("Content-Type of bytes", "Content-Type: application/\xe9"),
    header("Content-Type twice", "Content-Type: application/json\r\nContent-Type: application/json"),
    header("Content-Type twice, two of them", "Content-Type: application/json\r\nContent-Type: text/plain"),
    header("Content-Encoding that is not so", "Content-Encoding: gzip"),
    header("latin-1 in a value", "X-Name: caf\xe9"),
    header("UTF-8 in a value", "X-Name: 照片".encode()),
    header("UTF-8 in Referer", "Referer: http://h/照片".encode()),
    header("UTF-8 in User-Agent", "User-Agent: 手机".encode()),
    header("UTF-8 in a cookie", "Cookie: name=照片".encode()),
    header("UTF-8 in a name", "X-照片: 1".encode()),
    header("all characters of a name", "x!#$%&'*+-.^_`|~9: 1"),
    header("an underscore in a name", "x_y: 1"),
    header("a dot in a name", "x.y: 1"),
    header("a name with a blank", "x y: 1"),
    header("a blank before the colon", "X-Blank : 1"),
    header("a blank before the token's colon", "", needed=b"operationID: odd\r\ntoken : @TOKEN@\r\n"),
    header("no name", ": 1"),
    header("no colon", "X-Nothing"),
    header("a bracket in a name", "x(y): 1"),
    header("a value folded by a space", "X-Folded: 1\r\n 2"),
    header("a value folded by a tab", "X-Folded: 1\r\n\t2"),
    header("a folded token", "", needed=b"operationID: odd\r\ntoken:\r\n @TOKEN@\r\n"),
    header("a folded first line", "", host=b" x\r\nHost: localhost\r\n"),
    header("NUL in a value", "X-Name: a\x00b"),
    header("a control character in a value", "X-Name: a\x01b"),
    header("DEL in a value", "X-Name: a\x7fb"),
    header("a CR in a value", "X-Name: a\rb"),
    header("no Host", "", host=b""),
    header("an empty Host", "", host=b"Host:\r\n"),
    header("Host twice", "Host: localhost"),
    header("Host with a port", "", host=b"Host: localhost:8080\r\n"),
    header("Host of IPv6", "", host=b"Host: [::1]:80\r\n"),
    header("Host with an underscore", "", host=b"Host: my_host\r\n"),
    header("Host of UTF-8", "", host="Host: 主机\r\n".encode()),
    header("Host with a blank", "", host=b"Host: a b\r\n"),
    header("Host with a slash", "", host=b"Host: a/b\r\n"),
    header("Connection: close", "Connection: close"),
    header("Connection: keep-alive", "Connection: keep-alive"),
    header("Connection that names a header", "Connection: X-Thing\r\nX-Thing: 1"),
    header("Connection that names the token", "Connection: token"),
    header("Upgrade to WebSocket", "Connection: Upgrade\r\nUpgrade: websocket"),
    header("Upgrade to HTTP/2", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk"),
    header("TE", "TE: trailers, deflate"),
    header("Range", "Range: bytes=-5"),
    header("If-None-Match", 'If-None-Match: "x"'),
    header("If-Modified-Since of no date", "If-Modified-Since: yesterday"),
    header("Origin", "Origin: http://page.example"),
    header("Origin: null", "Origin: null"),
    header("X-Forwarded-For", "X-Forwarded-For: 1.2.3.4, \xe9"),
    header("X-Forwarded-Proto", "X-Forwarded-Proto: https\r\nX-Forwarded-Ssl: off"),
    header("Forwarded", 'Forwarded: for="[::1]";proto=https'),
    header("X-HTTP-Method-Override", "X-HTTP-Method-Override: DELETE"),
    header("X-Original-URL", "X-Original-URL: /status"),
    header("Max-Forwards", "Max-Forwards: 0"),
    header("a script's name", "SCRIPT_NAME: /x"),
    header("Proxy", "Proxy: http://example.org"),
    header("X-Request-Api of bytes", "X-Request-Api: http://h\xe9"),
    header("Expect", "Expect: 100-continue"),
    header("Expect in capitals", "Expect: 100-Continue"),
    header("Expect of something else", "Expect: 200-ok"),
    header("an empty Expect", "Expect:"),
]

FRAMINGS = [
    framed("no length", "", ""),
    framed("no length, and a body", "", SIZE, ends=True),
    framed("a length of 0", "Content-Length: 0", ""),
    framed("leading zeros", "Content-Length: 000@LENGTH@"),
    framed("a plus sign", "Content-Length: +@LENGTH@"),
    framed("a minus sign", "Content-Length: -5", ""),
    framed("minus zero", "Content-Length: -0", ""),
    framed("hexadecimal", "Content-Length: 0x14"),
    framed("a fraction", "Content-Length: @LENGTH@.0"),
    framed("an empty length", "Content-Length:"),
    framed("blanks around the length", "Content-Length:   @LENGTH@  "),
    framed("no blank before the length", "Content-Length:@LENGTH@"),
    framed("a list of two", "Content-Length: @LENGTH@, @LENGTH@"),
    framed("the same length twice", "Content-Length: @LENGTH@\r\nContent-Length: @LENGTH@"),
    framed("two lengths", "Content-Length: @LENGTH@\r\nContent-Length: 5"),
    framed("a length of 30 digits", "Content-Length: " + "9" * 30),
    framed("digits of another script", "Content-Length: ٢٠".encode()),
    framed("the name in lower case", "content-length: @LENGTH@"),
    framed("an underscore", "Content_Length: @LENGTH@", SIZE, ends=True),
    framed("a length that is too large, and the end", "Content-Length: 100", SIZE, ends=True),
    framed("a cut value, and the end", "Content-Length: 100", b'{"size":', ends=True),
    framed("a body in HTTP/1.0", "Content-Length: @LENGTH@", SIZE, "1.0"),
    framed("a kept connection in HTTP/1.0", "Connection: keep-alive\r\nContent-Length: @LENGTH@", SIZE, "1.0"),
    framed("Expect in HTTP/1.0", "Expect: 100-continue\r\nContent-Length: @LENGTH@", SIZE, "1.0"),
    framed("Expect and no body", "Expect: 100-continue\r\nContent-Length: 0", ""),
    framed("Expect and chunks", "Expect: 100-continue\r\nTransfer-Encoding: chunked", chunk(SIZE) + LAST),
    framed("a body over 1 MiB", "Content-Length: @LENGTH@", b'{"size":1,"x":"' + b"x" * (1 << 20) + b'"}'),
    framed("chunks in HTTP/1.0", "Transfer-Encoding: chunked", chunk(SIZE) + LAST, "1.0"),
    framed("chunks and a length", "Content-Length: @LENGTH@\r\nTransfer-Encoding: chunked", chunk(SIZE) + LAST),
    framed("Chunked in capitals", "Transfer-Encoding: CHUNKED", chunk(SIZE) + LAST),
    framed("Transfer-Encoding in lower case", "transfer-encoding: chunked", chunk(SIZE) + LAST),
    framed("blanks around chunked", "Transfer-Encoding:  chunked \t", chunk(SIZE) + LAST),
    framed("chunked twice", "Transfer-Encoding: chunked, chunked", chunk(SIZE) + LAST),
    framed("chunked in two headers", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", chunk(SIZE) + LAST),
    framed("gzip, chunked", "Transfer-Encoding: gzip, chunked", chunk(SIZE) + LAST),
    framed("chunked, identity", "Transfer-Encoding: chunked, identity", chunk(SIZE) + LAST),
    framed("identity", "Transfer-Encoding: identity\r\nContent-Length: @LENGTH@"),
    framed("an unknown coding", "Transfer-Encoding: x\r\nContent-Length: @LENGTH@"),
    framed("an empty Transfer-Encoding", "Transfer-Encoding:\r\nContent-Length: @LENGTH@"),
    framed("chunked with a vertical tab", "Transfer-Encoding: \x0bchunked", chunk(SIZE) + LAST),
    framed("an underscore in Transfer_Encoding", "Transfer_Encoding: chunked\r\nContent-Length: @LENGTH@"),
    chunked("one", chunk(SIZE) + LAST),
    chunked("one a byte", b"".join(chunk(bytes([byte])) for byte in SIZE) + LAST),
    chunked("none", LAST),
    chunked("a size in upper case", chunk(SIZE + b" " * 7, b"1B") + LAST),
    chunked("a size in lower case", chunk(SIZE + b" " * 7, b"1b") + LAST),
    chunked("a size with leading zeros", chunk(SIZE, b"0014") + LAST),
    chunked("a size of 16 digits", chunk(SIZE, b"0000000000000014") + LAST),
    chunked("a size of 17 digits", chunk(SIZE, b"00000000000000014") + LAST),
    chunked("several zeros at the end", chunk(SIZE) + b"000\r\n\r\n"),
    chunked("a size with 0x", chunk(SIZE, b"0x14") + LAST),
    chunked("a size with a sign", chunk(SIZE, b"+14") + LAST),
    chunked("a negative size", b"-1\r\n" + SIZE + b"\r\n" + LAST),
    chunked("a size that is none", b"xyz\r\n" + SIZE + b"\r\n" + LAST),
    chunked("an empty size", b"\r\n" + SIZE + b"\r\n" + LAST),
    chunked("a blank after a size", chunk(SIZE, b"14 ") + LAST),
    chunked("a blank before a size", chunk(SIZE, b" 14") + LAST),
    chunked("an extension", chunk(SIZE, extension=b";name=value") + LAST),
    chunked("an extension without a value", chunk(SIZE, extension=b";name") + LAST),
    chunked("an extension with blanks", chunk(SIZE, extension=b" ; name = value") + LAST),
    chunked("a quoted extension", chunk(SIZE, extension=b';name="a;b \\" c"') + LAST),
    chunked("an empty extension", chunk(SIZE, extension=b";") + LAST),
    chunked("an extension of 2,000 bytes", chunk(SIZE, extension=b";a=" + b"x" * 2000) + LAST),
    chunked("an extension of the last one", chunk(SIZE) + b"0;name=value\r\n\r\n"),
    chunked("no CRLF after a chunk", b"14\r\n" + SIZE + LAST),
    chunked("a chunk that is longer than its size", b"5\r\n" + SIZE + b"\r\n" + LAST),
    chunked("line feeds alone", b"14\n" + SIZE + b"\n0\n\n", ends=True),
    chunked("no last chunk, and the end", chunk(SIZE), ends=True),
    chunked("no empty line at the end, and the end", chunk(SIZE) + b"0\r\n", ends=True),
    chunked("a cut chunk, and the end", b"100\r\n" + SIZE, ends=True),
    chunked("a trailer", chunk(SIZE) + b"0\r\nX-Sum: 1\r\n\r\n"),
    chunked("two trailers", chunk(SIZE) + b"0\r\nX-Sum: 1\r\nX-Sum: 2\r\n\r\n"),
    framed(
        "a trailer that was announced",
        "Trailer: X-Sum\r\nTransfer-Encoding: chunked",
        chunk(SIZE) + b"0\r\nX-Sum: 1\r\n\r\n",
    ),
    framed(
        "a trailer that was announced and is not there", "Trailer: X-Sum\r\nTransfer-Encoding: chunked", chunk(SIZE) + LAST
    ),
    framed("a length announced as trailer", "Trailer: Content-Length\r\nTransfer-Encoding: chunked", chunk(SIZE) + LAST),
    chunked("a length for a trailer", chunk(SIZE) + b"0\r\nContent-Length: 5\r\n\r\n"),
    chunked("the token for a trailer", chunk(SIZE) + b"0\r\ntoken: x\r\n\r\n"),
    chunked("a trailer without a colon", chunk(SIZE) + b"0\r\nX-Sum\r\n\r\n"),
    chunked("a folded trailer", chunk(SIZE) + b"0\r\nX-Sum: 1\r\n 2\r\n\r\n"),
    Request(
        "framing: GET with a body",
        b"GET /object/u1/plain.txt HTTP/1.1\r\nHost: localhost\r\nContent-Length: @LENGTH@\r\n\r\n",
        SIZE,
    ),
    Request(
        "framing: GET with chunks",
        b"GET /object/u1/plain.txt HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n",
        chunk(SIZE) + LAST,
    ),
    Request(
        "framing: GET with a length of 0",
        b"GET /object/u1/plain.txt HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
    ),
    Request(
        "framing: two requests at once",
        b"GET /object/u1/none.txt HTTP/1.1\r\nHost: localhost\r\n\r\n"
        b"GET /object/u1/plain.txt HTTP/1.1\r\nHost: localhost\r\n\r\n",
        answers=2,
    ),
    Request(
        "framing: two requests at once, the second raw",
        b"GET /object/u1/none.txt HTTP/1.1\r\nHost: localhost\r\n\r\n"
        + "GET /object/u1/照片.txt HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(),
        answers=2,
    ),
    framed(
        "a CRLF after a POST's body",
        "Content-Length: 20",
        SIZE + b"\r\nGET /object/u1/plain.txt HTTP/1.1\r\nHost: localhost\r\n\r\n",
        answers=2,
    ),
    framed(
        "chunks, and another request",
        "Transfer-Encoding: chunked",
        chunk(SIZE) + LAST + b"GET /object/u1/plain.txt HTTP/1.1\r\nHost: localhost\r\n\r\n",
        answers=2,
    ),
]

DEEP = 5000

BODIES = [
    json("as it should be", SIZE),
    json("empty", ""),
    json("blanks", " \t\r\n"),
    json("no object", "{}"),
    json("null", "null"),
    json("null and more", "nullx"),
    json("half of null", "nul"),
    json("an array", "[]"),
    json("a string", '"x"'),
    json("a number", "5"),
    json("true", "true"),
    json("the key in capitals", '{"SIZE":100}'),
    json("the key with a capital", '{"Size":100}'),
    json("the key with a long s", '{"ſize":100}'),
    json("the key with a blank", '{"size ":100}'),
    json("the key escaped", '{"\\u0073ize":100}'),
    json("the key without quotes", "{size:100}"),
    json("the key in single quotes", "{'size':100}"),
    json("the key twice", '{"size":0,"size":100}'),
    json("the key twice, the second bad", '{"size":100,"size":"x"}'),
    json("the key twice, the first bad", '{"size":"x","size":100}'),
    json("the key in two cases, the exact one first", '{"size":0,"Size":100}'),
    json("the key in two cases, the exact one last", '{"Size":0,"size":100}'),
    json("null after a value", '{"size":100,"size":null}'),
    json("null before a value", '{"size":null,"size":100}'),
    json("null for a size", '{"size":null}'),
    json("unknown keys", '{"x":[1,{"y":null}],"size":100,"z":1e400}'),
    json("a string for a number", '{"size":"100"}'),
    json("a fraction of zero", '{"size":100.0}'),
    json("a fraction", '{"size":100.5}'),
    json("an exponent", '{"size":1e3}'),
    json("a boolean for a number", '{"size":true}'),
    json("an object for a number", '{"size":{}}'),
    json("an array for a number", '{"size":[100]}'),
    json("minus zero", '{"size":-0}'),
    json("a minus sign", '{"size":-100}'),
    json("a plus sign", '{"size":+100}'),
    json("a leading zero", '{"size":0100}'),
    json("hexadecimal", '{"size":0x64}'),
    json("NaN", '{"size":NaN}'),
    json("Infinity", '{"x":-Infinity,"size":100}'),
    json("the largest number", '{"size":9223372036854775807}'),
    json("a larger number", '{"size":9223372036854775808}'),
    json("the smallest number", '{"size":-9223372036854775808}'),
    json("a number of 100 digits", '{"size":' + "9" * 100 + "}"),
    json("a number of 5,000 digits in an unknown key", '{"x":' + "9" * 5000 + ',"size":100}'),
    json("an exponent of 5,000 digits in an unknown key", '{"x":1e' + "9" * 5000 + ',"size":100}'),
    json("text after the value", '{"size":100} and more'),
    json("another value after it", '{"size":100}{"size":5}'),
    json("a brace after the value", '{"size":100}}'),
    json("NUL after the value", b'{"size":100}\x00'),
    json("a form after the value", b'{"size":100}&x=\xff'),
    json("blanks around everything", ' \r\n\t{ \r\n\t"size" \r\n\t: \r\n\t100 \r\n\t} \r\n\t'),
    json("a form feed before it", '\x0c{"size":100}'),
    json("a no-break space before it", '\u00a0{"size":100}'),
    json("a byte order mark", '\ufeff{"size":100}'),
    json("UTF-16", '{"size":100}'.encode("utf-16")),
    json("UTF-16 without a mark", '{"size":100}'.encode("utf-16-le")),
    json("UTF-32", '{"size":100}'.encode("utf-32")),
    json("gzip", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"),
    json("a trailing comma", '{"size":100,}'),
    json("two commas", '{"size":100,,"x":1}'),
    json("no comma", '{"size":100 "x":1}'),
    json("a comment", '{"size":100/* bytes */}'),
    json("a comment at the end of a line", '{"size":100 // bytes\n}'),
    json("a comment after the value", '{"size":100} // bytes'),
    json("a cut object", '{"size":100'),
    json("a cut string", '{"size":100,"x":"'),
    json("a control character in a string", b'{"size":100,"x":"a\x01b"}'),
    json("a line feed in a string", b'{"size":100,"x":"a\nb"}'),
    json("DEL in a string", b'{"size":100,"x":"a\x7fb"}'),
    json("an unknown escape", '{"size":100,"x":"\\x41"}'),
    json("half an escape", '{"size":100,"x":"\\u00"}'),
    json("an apostrophe escaped", '{"size":100,"x":"\\\'"}'),
    json("bytes that are no UTF-8 in an unknown key", b'{"size":100,"\xff":"\xfe"}'),
    json("bytes that are no UTF-8 outside a string", b'{"size":100\xff}'),
    json("a depth of 500", '{"size":100,"x":' + "[" * 500 + "]" * 500 + "}"),
    json("a depth of 5,000", '{"size":100,"x":' + "[" * DEEP + "]" * DEEP + "}"),
    json("a depth of 10,001", '{"size":100,"x":' + "[" * 10_001 + "]" * 10_001 + "}"),
    json("a depth in a known key", '{"size":' + "[" * 500 + "]" * 500 + "}"),
    json("a form", "size=100"),
    json("XML", "<size>100</size>"),
    json("part_limit of an empty object", "{}", "part_limit"),
    json("part_limit of more", '{"x":1} 2', "part_limit"),
    json("part_limit of nothing", "", "part_limit"),
    initiate("as it should be", '"name":"u1/@@-as-it-is.txt","contentType":"text/x-odd"'),
    initiate("contenttype in lower case", '"name":"u1/@@-lower.txt","contenttype":"text/x-odd"'),
    initiate("keys in capitals", '"NAME":"u1/@@-capitals.txt","CONTENTTYPE":"text/x-odd"'),
    initiate("two cases of a key", '"name":"u1/@@-two.txt","contentType":"text/x-first","ContentType":"text/x-odd"'),
    initiate("null after a name", '"name":"u1/@@-null.txt","name":null,"contentType":"text/x-odd"'),
    initiate("null for a content type", '"name":"u1/@@-no-type.txt","contentType":null'),
    initiate("a lone surrogate", '"name":"u1/@@-holiday\\ud83d.txt","contentType":"text/x-odd"'),
    initiate("a lone low surrogate", '"name":"u1/@@-low\\ude00.txt","contentType":"text/x-odd"'),
    initiate("surrogates the wrong way round", '"name":"u1/@@-round\\ude00\\ud83d.txt","contentType":"text/x-odd"'),
    initiate(
        "two high surrogates and a low one", '"name":"u1/@@-three\\ud83d\\ud83d\\ude00.txt","contentType":"text/x-odd"'
    ),
    initiate("a surrogate and a letter", '"name":"u1/@@-letter\\ud83d\\u0041.txt","contentType":"text/x-odd"'),
    initiate("a pair of surrogates", '"name":"u1/@@-pair\\ud83d\\ude00.txt","contentType":"text/x-odd"'),
    initiate("a surrogate in UTF-8", b'"name":"u1/@@-utf\xed\xa0\xbd.txt","contentType":"text/x-odd"'),
    initiate("a byte that is no UTF-8", b'"name":"u1/@@-byte\xff.txt","contentType":"text/x-odd"'),
    initiate("GBK", '"name":"u1/@@-照片.txt","contentType":"text/x-odd"'.encode("gbk")),
    initiate("half a character", b'"name":"u1/@@-half\xe7\x85.txt","contentType":"text/x-odd"'),
    initiate("an overlong slash", b'"name":"u1/@@-over\xc0\xaf.txt","contentType":"text/x-odd"'),
    initiate("UTF-8", '"name":"u1/@@-照片.txt","contentType":"text/x-odd"'),
    initiate("UTF-8, escaped", '"name":"u1/@@-\\u7167\\u7247.txt","contentType":"text/x-odd"'),
    initiate("an escaped slash", '"name":"u1\\/@@-slash.txt","contentType":"text\\/x-odd"'),
    initiate("a byte order mark in a name", '"name":"u1/@@-\ufeff.txt","contentType":"text/x-odd"'),
    initiate("a number for a name", '"name":5'),
    initiate("maxParts over 32 bits", '"name":"u1/@@-over.txt","maxParts":2147483648'),
    initiate("the longest maxParts below 0", '"name":"u1/@@-below.txt","maxParts":-2147483648,"contentType":"text/x-odd"'),
    initiate("a fraction for maxParts", '"name":"u1/@@-fraction.txt","maxParts":1.0'),
    initiate("no name", '"contentType":"text/x-odd"'),
    json("auth_sign as it should be", '{"uploadID":"@UPLOAD@","partNumbers":[1,2]}', "auth_sign"),
    json("auth_sign with other cases", '{"UploadId":"@UPLOAD@","PARTNUMBERS":[3]}', "auth_sign"),
    json("auth_sign, null for numbers", '{"uploadID":"@UPLOAD@","partNumbers":null}', "auth_sign"),
    json("auth_sign, numbers twice", '{"uploadID":"@UPLOAD@","partNumbers":[1,2,3],"partNumbers":[4]}', "auth_sign"),
    json("auth_sign, numbers and null", '{"uploadID":"@UPLOAD@","partNumbers":[1,2],"partNumbers":null}', "auth_sign"),
    json("auth_sign, null over a number", '{"uploadID":"@UPLOAD@","partNumbers":[5],"partNumbers":[null]}', "auth_sign"),
    json("auth_sign, a string for a number", '{"uploadID":"@UPLOAD@","partNumbers":["1"]}', "auth_sign"),
    json("auth_sign, a fraction for a number", '{"uploadID":"@UPLOAD@","partNumbers":[1.0]}', "auth_sign"),
    json("auth_sign, a number over 32 bits", '{"uploadID":"@UPLOAD@","partNumbers":[4294967297]}', "auth_sign"),
    json("auth_sign, an object for numbers", '{"uploadID":"@UPLOAD@","partNumbers":{"0":1}}', "auth_sign"),
    json("auth_sign, an ID of bytes", b'{"uploadID":"\xff","partNumbers":[1]}', "auth_sign"),
    json("access_url as it should be", '{"name":"u1/plain.txt","query":{"a":"b"}}', "access_url"),
    json("access_url without a query", '{"name":"u1/照片.txt"}', "access_url"),
    json("access_url, null for the query", '{"name":"u1/plain.txt","query":null}', "access_url"),
    json("access_url, a type", '{"name":"u1/plain.txt","query":{"type":"video"}}', "access_url"),
    json("access_url, a type in another case", '{"name":"u1/plain.txt","query":{"Type":"video"}}', "access_url"),
    json("access_url, the query twice", '{"name":"u1/plain.txt","query":{"type":"video"},"query":{"a":"b"}}', "access_url"),
    json(
        "access_url, the query in two cases",
        '{"name":"u1/plain.txt","query":{"a":"b"},"QUERY":{"type":"video"}}',
        "access_url",
    ),
    json("access_url, null in the query", '{"name":"u1/plain.txt","query":{"type":null}}', "access_url"),
    json("access_url, null over a type", '{"name":"u1/plain.txt","query":{"type":"video","type":null}}', "access_url"),
    json("access_url, a number in the query", '{"name":"u1/plain.txt","query":{"width":10}}', "access_url"),
    json("access_url, a list for the query", '{"name":"u1/plain.txt","query":[]}', "access_url"),
    json("access_url, a surrogate in the query", '{"name":"u1/plain.txt","query":{"\\ud83d":"\\ud83d"}}', "access_url"),
    json("complete, other cases", '{"UPLOADID":"x","Parts":null,"Name":"u1/x"}', "complete_multipart_upload"),
    json("complete, a number in parts", '{"uploadID":"x","parts":[1],"name":"u1/x"}', "complete_multipart_upload"),
    json("form as it should be", '{"name":"u1/f.txt","size":5,"millisecond":1000,"absolute":true}', "initiate_form_data"),
    json("form in capitals", '{"NAME":"u1/f.txt","SIZE":5,"Absolute":false}', "initiate_form_data"),
    json("form, a string for a boolean", '{"name":"u1/f.txt","size":5,"absolute":"true"}', "initiate_form_data"),
    json("form, a number for a boolean", '{"name":"u1/f.txt","size":5,"absolute":1}', "initiate_form_data"),
    json("form, null for a boolean", '{"name":"u1/f.txt","size":5,"absolute":null}', "initiate_form_data"),
    json("form's end", '{"ID":"x"}', "complete_form_data"),
    json("form's end, a number", '{"id":5}', "complete_form_data"),
]

REQUESTS = [*LINES, *HEADERS, *FRAMINGS, *BODIES]
