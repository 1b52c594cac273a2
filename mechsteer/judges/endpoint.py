"""A model behind an OpenAI-compatible URL, asked in words: the one judge that sends texts away, and only where it is named.

The key comes from MECHSTEER_JUDGE_KEY, or from OPENAI_API_KEY where the URL is OpenAI's own, and is never written, not even where
a server repeats it. The client tries again what is refused for a while (429, 5xx, lost connections); what still has no answer is
missing, and asked again with --retry. A server that points elsewhere is not followed there.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ..text import shortened, visible
from .asking import Asked, Question, last_rating
from .base import Judgement, Unreachable
from .scale import Aspect

NAME = "endpoint"
ORDER = 50
TITLE = "a model behind an OpenAI-compatible URL"
ASKED = True
ENDPOINT = True

AT_ONCE = 8
TRIES = 5
TIMEOUT = 60.0
"""Seconds for one answer."""
MOST_TOKENS = 256
IN_A_ROW = 25
"""Questions without an answer, one after the other, after which no more is asked."""
OPENAI = "api.openai.com"
ORGANISATION = ("OpenAI-Organization", "OpenAI-Project")
LONGEST_REASON = 300
"""Characters of why there is no answer: some servers send a page."""


@dataclass(frozen=True, eq=False)
class Endpoint(Asked):
    """One model, at temperature 0."""

    @property
    def settings(self) -> dict[str, object]:
        return {"temperature": 0, "max_tokens": MOST_TOKENS}

    def form(self, aspect: Aspect) -> str:
        return (
            f"Give your reasons in one sentence. Then end with your rating, {aspect.allowed}, on a line of its own, in this "
            "form:\nRating: [[rating]]"
        )

    def ask(self, questions: Sequence[Question], keep: Callable[[str, str], None]) -> Mapping[str, str]:
        from ..progress import progress_bar

        key, failed, in_a_row = _key(self.request.url), {}, 0
        with (
            _client(self.request.url, key) as client,
            ThreadPoolExecutor(AT_ONCE) as pool,
            progress_bar("Judging", len(questions)) as bar,
        ):
            futures = {pool.submit(self._one, client, question, keep): question for question in questions}
            try:
                for future in as_completed(futures):
                    if not (why := _in_short(key, future.result())):
                        in_a_row = 0
                    else:
                        failed[futures[future].key] = why
                        in_a_row += 1
                    if in_a_row >= IN_A_ROW:
                        raise Unreachable(
                            f"{self.request.url} gave no answer to {in_a_row} questions in a row ({why}). What it has answered "
                            "is kept: repeat the command once it answers."
                        ) from ConnectionError(why)
                    bar.advance()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        return failed

    def _one(self, client: Any, question: Question, keep: Callable[[str, str], None]) -> str:
        """Why there is no answer; "" where it is kept."""
        import openai

        try:
            answer = client.chat.completions.create(
                model=self.request.model, messages=[{"role": "user", "content": question.prompt}], **self.settings
            )
            (choice,) = answer.choices
            said, ended = choice.message.content, choice.finish_reason
        except (openai.AuthenticationError, openai.PermissionDeniedError, openai.NotFoundError) as error:
            raise Unreachable(
                f"{self.request.url} refuses to answer ({_in_short(client.api_key, str(error))}). Look at its model, at its URL, "
                "and at the key in MECHSTEER_JUDGE_KEY."
            ) from ConnectionError(error.status_code)
        except openai.APIStatusError as error:
            if not 300 <= error.status_code < 400:
                return f"{type(error).__name__}: {error}"
            elsewhere = _in_short(client.api_key, error.response.headers.get("location", "nowhere"))
            raise Unreachable(
                f"{self.request.url} points to {elsewhere}, and texts go nowhere but to the URL that is named. Name that one if "
                "they may go there."
            ) from ConnectionError(error.status_code)
        except (openai.OpenAIError, ValueError, TypeError, AttributeError) as error:
            return f"{type(error).__name__}: {error}"
        if not isinstance(said, str) or not said.strip():
            return "an answer without text"
        said = _without(client.api_key, said)
        keep(question.key, said if ended != "length" else f"{said}{CUT_OFF}")
        return ""

    def read(self, aspect: Aspect, raw: str) -> Judgement:
        if raw.endswith(CUT_OFF):
            return Judgement(raw=raw, failed=f"no end within {MOST_TOKENS} tokens")
        return last_rating(aspect, raw)


CUT_OFF = " [cut off]"
NO_KEY = "none"


def _key(url: str) -> str:
    """The key for this URL and no other; a server of one's own needs none."""
    of_openai = os.environ.get("OPENAI_API_KEY") if urlsplit(url).hostname == OPENAI else None
    # A file that a key is read from ends with a line break, which no header may hold.
    return (os.environ.get("MECHSTEER_JUDGE_KEY") or of_openai or "").strip() or NO_KEY


def _without(key: str, words: str) -> str:
    """What a server said, without the key that it may have repeated."""
    return words if key == NO_KEY else words.replace(key, "…")


def _in_short(key: str, words: str) -> str:
    """The same on one line of bounded length."""
    return shortened(visible(" ".join(_without(key, words).split())), LONGEST_REASON)


def _client(url: str, key: str) -> Any:
    try:
        import openai
    except ImportError as error:
        raise Unreachable("The judge 'endpoint' needs another package: pip install 'mechsteer[judge]'.") from error
    own: Any = {}
    if urlsplit(url).hostname != OPENAI:
        # What the environment says for OpenAI is nobody else's to know: organisations, and headers that may hold another key.
        more = [line.partition(":")[0].strip() for line in os.environ.get("OPENAI_CUSTOM_HEADERS", "").split("\n")]
        own = dict.fromkeys((*ORGANISATION, *filter(None, more)), openai.Omit())
        own = {name: value for name, value in own.items() if name.lower() != "authorization"}
        own["Authorization"] = f"Bearer {key}"
    return openai.OpenAI(
        base_url=url, api_key=key, max_retries=TRIES, timeout=TIMEOUT, default_headers=own,
        http_client=openai.DefaultHttpxClient(follow_redirects=False),
    )  # fmt: skip
