"""A token without which nothing is answered: whoever knows the address may ask, no other program of this machine."""

from secrets import compare_digest

from starlette.datastructures import Headers, QueryParams
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send


class NeedsToken:
    """Asks for the token as OpenAI's clients send a key, or in the address, as a browser does that opens the page."""

    def __init__(self, app: ASGIApp, token: str):
        self.app, self.token = app, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._is_known(scope):
            await self.app(scope, receive, send)
            return
        sentence = "The token is missing or wrong. Open the address that the command printed."
        error = {"message": sentence, "type": "invalid_request_error", "param": None, "code": "invalid_api_key"}
        await JSONResponse({"error": error}, 401)(scope, receive, send)

    def _is_known(self, scope: Scope) -> bool:
        said = (
            Headers(scope=scope).get("authorization", "").removeprefix("Bearer "),
            QueryParams(scope["query_string"]).get("token", ""),
        )
        return any(compare_digest(one.encode(), self.token.encode()) for one in said)
