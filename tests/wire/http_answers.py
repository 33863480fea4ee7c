"""Reading back what an HTTP server has said, with h11 in the client's role: strict about every length."""

from __future__ import annotations

import h11


class Answered:
    """One answer, as a strict client reads it."""

    def __init__(self, status: int, headers: dict[bytes, bytes], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body


def read_answers(said: bytes, *methods: bytes) -> list[Answered]:
    """Every answer to these methods (the last one goes on for ever); all bytes must belong to one."""
    answers = []
    asked = [*methods] or [b"GET"]
    while said:
        client = h11.Connection(h11.CLIENT)
        method = asked.pop(0) if len(asked) > 1 else asked[0]
        client.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
        client.send(h11.EndOfMessage())
        client.receive_data(said)
        answer = Answered(0, {}, b"")
        while not isinstance(event := client.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA and not {b"content-length", b"transfer-encoding"} & set(answer.headers):
                client.receive_data(b"")  # the end of the connection is that of the body
                continue
            if isinstance(event, h11.Response):
                answer = Answered(event.status_code, dict(event.headers), b"")
            elif isinstance(event, h11.Data):
                answer.body += bytes(event.data)
            else:
                assert isinstance(event, h11.InformationalResponse), f"cut off: {event}"
        answers.append(answer)
        said = client.trailing_data[0]
    return answers
