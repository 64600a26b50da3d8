"""Which requests are answered in place of the server, and where their answers stand: bytes in, bytes out."""

from __future__ import annotations

from random import Random

import pytest

from chaos.proxy.http_answers import Answer, HttpAnswers
from chaos.proxy.toxics import HttpStatus

SEED = 11
BAD = HttpStatus(path="/bad", status=503)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
ANSWER = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
CLOSING = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def get(path: str, *fields: str, method: str = "GET", version: str = "1.1") -> bytes:
    lines = [f"{method} {path} HTTP/{version}", "Host: x", *fields, "", ""]
    return "\r\n".join(lines).encode()


def post(path: str, body: bytes) -> bytes:
    return get(path, f"Content-Length: {len(body)}", method="POST") + body


class Talk:
    """A conversation under rules; everything that came out on either side."""

    def __init__(self, *rules: HttpStatus, from_start: bool = True) -> None:
        self._rules = rules or (BAD,)
        self._answers = HttpAnswers(self._decide, from_start=from_start)
        self.to_server = b""
        self.to_client = b""
        self.closed = False

    def _decide(self, method: str, path: str) -> Answer | None:
        return next((rule.answer for rule in self._rules if rule.matches(method, path)), None)

    def client(self, data: bytes) -> Talk:
        return self._took(self._answers.from_client(data))

    def server(self, data: bytes) -> Talk:
        return self._took(self._answers.from_server(data))

    def client_ends(self) -> Talk:
        return self._took(self._answers.client_ends())

    def _took(self, output: tuple[bytes, bytes, bool]) -> Talk:
        assert not (self.closed and output[1]), "nothing is told after the close"
        self.to_server += output[0]
        self.to_client += output[1]
        self.closed = output[2]
        return self


def test_a_request_that_matches_is_answered_and_the_server_never_sees_it() -> None:
    talk = Talk().client(get("/bad/x?y=1"))
    assert (talk.to_server, talk.to_client, talk.closed) == (b"", ANSWER, False)


def test_other_requests_pass_and_the_connection_is_kept() -> None:
    talk = Talk()
    for path in ("/good", "/bad", "/ba", "/bad2", "/good"):
        talk.client(get(path))
        if not path.startswith("/bad"):
            talk.server(OK)
    assert talk.to_server == get("/good") + get("/ba") + get("/good")
    assert talk.to_client == OK + ANSWER + OK + ANSWER + OK


def test_an_answer_waits_for_the_responses_to_earlier_requests() -> None:
    talk = Talk().client(get("/a") + get("/bad") + get("/b") + get("/bad"))
    assert talk.to_server == get("/a") + get("/b")
    assert talk.to_client == b""
    talk.server(OK[:-1])
    assert talk.to_client == OK[:-1]
    talk.server(OK[-1:] + OK)
    assert talk.to_client == OK + ANSWER + OK + ANSWER


@pytest.mark.parametrize(
    "response",
    [
        OK,
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK,
        b"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n",
    ],
)
def test_every_framing_of_a_response_is_understood(response: bytes) -> None:
    talk = Talk().client(get("/a") + get("/bad")).server(response)
    assert talk.to_client == response + ANSWER


def test_the_response_to_head_has_no_body() -> None:
    response = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
    talk = Talk().client(get("/a", method="HEAD") + get("/bad", method="HEAD")).server(response)
    assert talk.to_client == response + ANSWER


@pytest.mark.parametrize(
    "request_to_bad",
    [
        post("/bad", b"x" * 1000),
        post("/bad", b""),
        get("/bad", "Transfer-Encoding: chunked", method="POST") + b"3\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n",
        b"\r\n" + post("/bad", b"GET /good HTTP/1.1\r\n\r\n"),
    ],
)
def test_the_body_of_an_answered_request_is_taken_with_it(request_to_bad: bytes) -> None:
    talk = Talk().client(request_to_bad + get("/good")).server(OK)
    assert talk.to_server.lstrip() == get("/good")
    assert talk.to_client == ANSWER + OK


def test_however_the_bytes_are_cut_the_conversation_is_the_same() -> None:
    rng = Random(SEED)
    for round_number in range(150):
        requests, passed, expected, responses = b"", b"", b"", b""
        for _ in range(rng.randint(1, 8)):
            body = rng.randbytes(rng.choice([0, 1, 50]))
            path = rng.choice(["/bad", "/good"])
            if rng.random() < 0.5:
                one = post(path, body)
            else:
                chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body, b"zz") if part)
                one = get(path, "Transfer-Encoding: chunked", method="PUT") + chunks + b"0\r\n\r\n"
            requests += one
            if path == "/bad":
                expected += ANSWER
            else:
                passed += one
                expected += OK
                responses += OK
        talk = Talk()
        while requests or responses:
            cut = rng.randint(1, 40)
            if requests and rng.random() < 0.5:
                talk.client(requests[:cut])
                requests = requests[cut:]
            elif responses and (not requests or len(talk.to_server) >= len(passed)):
                talk.server(responses[:cut])
                responses = responses[cut:]
        assert talk.to_server == passed, f"seed {SEED}, round {round_number}"
        assert talk.to_client == expected, f"seed {SEED}, round {round_number}"


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"PING\r\n",
        b"GET key\r\n",
        b"EHLO example.org\r\n",
        b"hello",
        b"get /bad HTTP/1.1\r\n\r\n",
        b"GET /bad HTTP/1.1\r\nno field here\r\n\r\n",
        b"GET /bad HTTP/2.0\r\n\r\n",
        get("/bad", "Content-Length: x"),
        get("/bad", "Content-Length: 1", "Content-Length: 2"),
        get("/bad", "Transfer-Encoding: gzip"),
        b"GET /bad HTTP/1.1\r\nX: " + b"x" * 70_000,
    ],
)
def test_what_is_not_http_passes_untouched_from_there_on(data: bytes) -> None:
    talk = Talk().client(data).client(get("/bad"))
    assert talk.to_server == data + get("/bad")
    assert talk.server(b"anything").to_client == b"anything"


def test_bytes_that_may_become_a_request_go_on_when_the_client_ends() -> None:
    assert Talk().client(b"GE").to_server == b""
    assert Talk().client(b"GE").client_ends().to_server == b"GE"


@pytest.mark.parametrize("line", [b"PING\r\n", b"GET key\r\n", b"EHLO example.org\n", b"\x00", b"hello"])
def test_another_protocol_does_not_wait_for_the_end_of_a_head(line: bytes) -> None:
    assert Talk().client(line).to_server == line


def test_a_broken_chunk_ends_the_watching_and_loses_nothing() -> None:
    data = get("/good", "Transfer-Encoding: chunked", method="POST") + b"2\r\nabc\r\n"
    assert Talk().client(data).to_server == data


def test_a_response_that_is_not_http_closes_if_an_answer_has_lost_its_place() -> None:
    talk = Talk().client(get("/a")).server(b"nonsense\r\n\r\n")
    assert (talk.to_client, talk.closed) == (b"nonsense\r\n\r\n", False)
    talk = Talk().client(get("/a") + get("/bad")).server(b"nonsense\r\n\r\n")
    assert talk.closed


@pytest.mark.parametrize(
    ("request_to_bad", "answer", "closes"),
    [
        (get("/bad", "Connection: close"), CLOSING, True),
        (get("/bad", version="1.0"), CLOSING, True),
        (
            get("/bad", "Connection: Keep-Alive", version="1.0"),
            ANSWER.replace(b"\r\n\r\n", b"\r\nConnection: keep-alive\r\n\r\n"),
            False,
        ),
        (get("/bad", "Content-Length: 9", "Expect: 100-continue", method="PUT"), CLOSING, True),
    ],
)
def test_the_connection_ends_where_the_client_or_the_framing_asks_for_it(
    request_to_bad: bytes, answer: bytes, closes: bool
) -> None:
    talk = Talk().client(request_to_bad)
    assert (talk.to_client, talk.closed) == (answer, closes)
    if closes:
        assert talk.client(get("/good")).to_server == b""


def test_a_connection_that_closes_waits_for_earlier_responses() -> None:
    talk = Talk().client(get("/a") + get("/bad", "Connection: close"))
    assert not talk.closed
    talk.server(OK + b"HTTP/1.1 408 Request Timeout\r\n\r\n")
    assert (talk.to_client, talk.closed) == (OK + CLOSING, True)


def test_what_follows_a_switch_of_protocols_is_untouched() -> None:
    ask = get("/ws", "Connection: Upgrade", "Upgrade: websocket")
    talk = Talk().client(ask).client(b"early frame")
    assert talk.to_server == ask
    talk.server(b"HTTP/1.1 101 Switching Protocols\r\n\r\nframe").client(get("/bad"))
    assert talk.to_server == ask + b"early frame" + get("/bad")
    assert talk.to_client == b"HTTP/1.1 101 Switching Protocols\r\n\r\nframe"


def test_a_switch_that_is_refused_leaves_the_connection_as_it_was() -> None:
    ask = get("/a", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c")
    talk = Talk().client(ask + get("/bad"))
    assert talk.to_client == b""
    assert talk.server(OK).to_client == OK + ANSWER


def test_a_switch_refused_before_the_request_is_whole_holds_nothing_up() -> None:
    ask = get("/a", "Upgrade: h2c", "Content-Length: 4", method="POST")
    talk = Talk().client(ask + b"ab").server(OK[:-1]).client(b"cd").client(get("/bad"))
    assert talk.to_server == ask + b"abcd"
    assert talk.server(OK[-1:]).to_client == OK + ANSWER


def test_a_tunnel_is_untouched() -> None:
    ask = get("host:443", method="CONNECT")
    talk = Talk().client(ask).server(b"HTTP/1.1 200 Connected\r\n\r\n").client(get("/bad")).server(b"\x16\x03")
    assert talk.to_server == ask + get("/bad")


def test_a_whole_address_is_matched_by_its_path() -> None:
    assert Talk().client(get("http://example.org/bad/1")).to_client == ANSWER


def test_an_open_connection_is_watched_from_its_next_request() -> None:
    talk = Talk(from_start=False).client(b"rest of a body").server(OK).client(get("/bad"))
    assert talk.to_server == b"rest of a body"
    assert talk.to_client == OK + ANSWER


def test_method_share_and_the_first_rule_that_matches_decide() -> None:
    talk = Talk(HttpStatus(path="/", method="post", status=429), HttpStatus(path="/x", status=500))
    talk.client(get("/y")).client(post("/x", b"")).client(get("/x"))
    assert talk.to_server == get("/y")
    assert b"429 Too Many" not in talk.to_client[:5]
    assert talk.server(OK).to_client.count(b"HTTP/1.1 429 Too Many Requests") == 1
    assert talk.to_client.count(b"HTTP/1.1 500 Internal") == 1


def test_the_answer_says_what_was_asked_for() -> None:
    full = HttpStatus(status=503, retry_after_s=7, body='{"é": 1}', content_type="application/json")
    assert (
        full.answer(to_head=False, connection=None)
        == (
            "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: 9\r\n"
            'Retry-After: 7\r\n\r\n{"é": 1}'
        ).encode()
    )
    assert full.answer(to_head=True, connection=None).endswith(b"Retry-After: 7\r\n\r\n")
    assert HttpStatus(status=204, body="x").answer(to_head=False, connection=None) == b"HTTP/1.1 204 No Content\r\n\r\n"
    assert HttpStatus(status=299).answer(to_head=False, connection=None).startswith(b"HTTP/1.1 299 Unknown\r\n")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"status": 199}, "status must lie between 200 and 599"),
        ({"status": 600}, "status must lie between"),
        ({"share": 1.01}, "share must lie between 0 and 1"),
        ({"path": "orders"}, "path is the beginning of a request's path"),
        ({"method": "PO ST"}, "method is a method of HTTP"),
        ({"content_type": "a\r\nX: y"}, "content_type must be printable"),
        ({"retry_after_s": -1}, "retry_after_s must lie between"),
    ],
)
def test_answers_that_cannot_be_are_refused(given: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        HttpStatus(**given)  # type: ignore[arg-type]


def test_behind_a_response_that_cannot_be_framed_no_request_is_kept_from_the_server() -> None:
    talk = Talk().client(get("/a"))
    folded = b"HTTP/1.1 200 OK\r\nX-Long: a\r\n folded\r\nContent-Length: 2\r\n\r\nhi"
    assert talk.server(folded).to_client == folded
    talk.client(get("/bad") + get("/b"))
    assert (talk.to_server, talk.closed) == (get("/a") + get("/bad") + get("/b"), False)
    assert talk.server(OK + OK).to_client == folded + OK + OK


def test_the_body_of_an_answered_request_stays_out_of_the_server_when_its_answer_is_lost() -> None:
    talk = Talk().client(get("/a") + post("/bad", b"x" * 10)[:-4])
    talk.server(b"no HTTP\r\n\r\n")
    assert talk.closed
    talk.client(b"xxxx")
    assert talk.to_server == get("/a")


def test_an_answer_behind_a_refused_upgrade_comes_behind_its_response() -> None:
    talk = Talk().client(get("/ws", "Upgrade: x", "Connection: upgrade") + get("/bad") + get("/b"))
    refusal = b"HTTP/1.1 204 No Content\r\nX: 1\r\n\r\n"
    assert talk.server(refusal).to_client == refusal + ANSWER
    assert talk.to_server.endswith(get("/b"))
