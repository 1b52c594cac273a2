"""`mechsteer play`: a page on which a model is steered by hand."""

import secrets
from dataclasses import replace
from typing import Annotated

import typer

from ..families import FORMATS
from .options import (
    AnyModelOption,
    DeviceMapOption,
    DeviceOption,
    DtypeOption,
    ExtendOption,
    LearnedFormatOption,
    RuleOption,
    TemplateOption,
    split_list,
    what,
)
from .printing import echo
from .serve import PortOption, bound, endpoint_of, need_extra, run

PROMPTS = {"guestbook": "what about the soup ?"}
"""What stands in the page's prompt first; any other model begins a story."""


def play(
    what_to_play: Annotated[
        list[str] | None,
        typer.Argument(
            help="A model, then steers' files; a file of ours may come first and says which model it was made for.",
            metavar="[MODEL] [STEER...]",
        ),
    ] = None,
    prompt: Annotated[str | None, what(help="What the page begins with.", metavar="TEXT")] = None,
    prompt_format: LearnedFormatOption = None,
    template_option: TemplateOption = None,
    rule: RuleOption = None,
    any_model: AnyModelOption = False,
    port: PortOption = 0,
    device: DeviceOption = None,
    device_map: DeviceMapOption = None,
    dtype: DtypeOption = None,
    extend: ExtendOption = "",
) -> None:
    """Steer a model by hand, on a page of this machine."""
    need_extra()
    from starlette.middleware import Middleware
    from starlette.requests import Request
    from starlette.responses import HTMLResponse
    from starlette.routing import Route

    from analyses.studies.measured import Measured
    from analyses.studies.settings import Settings
    from figures.page.play import render, steer_on_page

    from ..formats.named import SteerFile
    from ..serving.app import application
    from ..serving.token import NeedsToken

    came = what_to_play or ["guestbook"]
    # Files of other programs do not say which model they are for.
    has_model = SteerFile.of(came[0]).path.suffix not in FORMATS["mechsteer"].get("SUFFIXES")
    steers = came[has_model:]
    endpoint = endpoint_of(
        steers, came[0] if has_model else None, prompt_format=prompt_format, template_option=template_option, rule=rule,
        any_model=any_model, device=device, device_map=device_map, dtype=dtype,
    )  # fmt: skip
    model, by_name = endpoint.model, endpoint.steers.by_name
    files = [SteerFile.of(steer) for steer in steers]
    # What is scaled, used at other positions, by another rule or on another model is not what the study measured.
    is_other = rule is not None or any_model
    asked = Settings(
        model=model.name, pairs="PAIRS.jsonl", format=endpoint.prompt_format, rule=rule or Settings.rule,
        device=device, device_map=device_map, dtype=dtype, extend=split_list(extend),
    )  # fmt: skip
    says_format = prompt_format is not None or template_option is not None
    shown = []
    for file, steer in zip(files, steers, strict=True):
        acting = by_name[file.name]
        own = asked if says_format else replace(asked, format=acting.origin.prompt_format)
        measured = None if file.said or is_other else Measured.of(file.path)
        shown.append(steer_on_page(file.name, steer, acting, measured, own))
    page = render(
        asked, prompt or PROMPTS.get(model.name, "Once upon a time"), shown,
        has_chat=bool(model.require_tokenizer().chat_template),
    )  # fmt: skip

    async def opened(request: Request) -> HTMLResponse:
        return HTMLResponse(page, headers={"Cache-Control": "no-store"})

    token = secrets.token_urlsafe(24)
    with bound(port) as listening:
        echo(f"http://127.0.0.1:{listening.getsockname()[1]}/?token={token} (Ctrl-C ends it)")
        run(application(endpoint, [Route("/", opened)], [Middleware(NeedsToken, token=token)]), listening)
