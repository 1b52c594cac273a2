"""`mechsteer serve`: an OpenAI-compatible endpoint whose requests may steer."""

import socket
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from ..errors import InputError
from ..families import RULES
from .options import (
    AnyModelOption,
    DeviceMapOption,
    DeviceOption,
    DtypeOption,
    ExtendOption,
    LearnedFormatOption,
    RuleOption,
    SteeredModelOption,
    TemplateOption,
    open_model,
    open_steered,
    pairs_for,
    running,
    split_list,
    steers,
    with_template,
)
from .printing import echo

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from ..interventions import Intervention
    from ..measuring.ordinary import OrdinaryText, Text
    from ..models.model import Model
    from ..pairs.polarity import Pairs
    from ..serving.app import Endpoint

N_ORDINARY = 256
"""Pairs whose texts say where ordinary activations lie."""

PortOption = Annotated[int, running(help="0 takes one that is free.", min=0, max=65535, metavar="N")]
BatchOption = Annotated[
    int, running("--batch", help="Texts that are written at once, each under its own steers.", min=1, metavar="N")
]
QueueOption = Annotated[
    int,
    running("--queue", help="Texts that may wait; further requests get status 429 (ask again).", min=1, metavar="N"),
]


def serve(
    intervention: Annotated[
        str, steers(help="Files of steers; requests name them by their files' names.", metavar="FILE,...")
    ] = "",
    model: SteeredModelOption = None,
    prompt_format: LearnedFormatOption = None,
    template_option: TemplateOption = None,
    rule: RuleOption = None,
    any_model: AnyModelOption = False,
    port: PortOption = 8000,
    batch: BatchOption = 16,
    queue: QueueOption = 64,
    device: DeviceOption = None,
    device_map: DeviceMapOption = None,
    dtype: DtypeOption = None,
    extend: ExtendOption = "",
) -> None:
    """Answer OpenAI's requests on this machine; each may steer."""
    need_extra()
    from ..serving.app import application

    endpoint = endpoint_of(
        split_list(intervention), model, prompt_format=prompt_format,
        template_option=template_option, rule=rule, any_model=any_model, queue=queue, batch=batch, device=device,
        device_map=device_map, dtype=dtype,
    )  # fmt: skip
    with bound(port) as listening:
        named = ", ".join(endpoint.steers.by_name) or "no steers"
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        echo(f"{endpoint.model.name} with {named} at {address} (Ctrl-C ends it)")
        run(application(endpoint), listening)


def endpoint_of(
    paths: Sequence[str],
    model: str | None,
    *,
    prompt_format: str | None,
    template_option: list[str] | None,
    rule: str | None,
    any_model: bool,
    device: str | None,
    device_map: str | None,
    dtype: str | None,
    queue: int = 64,
    batch: int = 16,
) -> "Endpoint":
    """What answers for a model and its steers."""
    from ..serving.app import Endpoint
    from ..serving.steers import Steers
    from ..serving.waiting import Waiting

    place = {"device": device, "device_map": device_map, "dtype": dtype}
    opened, by_name = open_all(paths, model, rule=rule, any_model=any_model, **place)
    opened.require_tokenizer()
    learned = next((steer.origin.prompt_format for steer in by_name.values()), "raw")
    prompt_format = with_template(prompt_format or learned, template_option)
    steers = Steers(by_name, _ordinary(opened, paths, prompt_format))
    return Endpoint(opened, steers, Waiting(opened, queue, batch), prompt_format)


def _ordinary(model: "Model", paths: Sequence[str], prompt_format: str) -> "OrdinaryText":
    """Texts of pairs that belong to the steers or to a guestbook, else neutral sentences; found when somebody asks."""
    from ..measuring.ordinary import OrdinaryText

    def texts() -> "tuple[Sequence[Text], Sequence[Text]]":
        from analyses.evidence.neutral import neutral_texts, readable

        from ..engine.losses import pair_texts
        from ..models.prompts import encode_pairs

        for pairs in _pairs_of(model, paths):
            # Pairs of another model may hold what this one does not read.
            with suppress(InputError):
                learned, judged = pairs.balanced_sample(N_ORDINARY).split()
                return (
                    pair_texts(encode_pairs(model, learned, prompt_format)),
                    pair_texts(encode_pairs(model, judged, prompt_format)),
                )
        sentences: list[Text] = [(ids, 2) for ids in readable(model, neutral_texts()) if len(ids) > 2]
        return sentences[::2], sentences[1::2]

    return OrdinaryText(model, texts)


def _pairs_of(model: "Model", paths: Sequence[str]) -> "Iterator[Pairs]":
    """Of the studies among whose steers the files lie, then a guestbook's own."""
    import mechsteer as ms
    from analyses.studies.measured import Measured

    from ..formats.named import SteerFile

    for path in paths:
        with suppress(InputError):
            if (measured := Measured.of(SteerFile.of(path).path)) is not None:
                yield ms.load_pairs(measured.study.sums.path("pairs.jsonl"))
    if (own := pairs_for(model, None)) is not None:
        yield own


def open_all(
    paths: Sequence[str], model: str | None, *, rule: str | None, any_model: bool, **place: str | None
) -> "tuple[Model, dict[str, Intervention]]":
    """Several steers by their files' names, and the model that is named, or that the first was made for."""
    from ..formats.loading import check_model, load_intervention
    from ..formats.named import SteerFile

    names = [SteerFile.of(path).name for path in paths]
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(f"Two files of steers are called {twice[0]!r}, which is how requests name them. Rename one.")
    if not paths:
        if model is None:
            raise InputError("Neither a model nor a steer came. Name one by --model or --intervention.")
        return open_model(model, place.pop("device"), place.pop("dtype"), **place), {}
    opened, first = open_steered(paths[0], model, rule=rule, any_model=any_model, **place)  # pyright: ignore
    others = [load_intervention(path) for path in paths[1:]]
    for steer in others:
        check_model(steer, opened, any_model=any_model)
    if rule is not None:
        others = [replace(steer, rule=RULES.load(rule)()) for steer in others]
    found = dict(zip(names, [first, *others], strict=True))
    for steer in found.values():
        # Now, and not when somebody asks: a batch is of many people's texts.
        steer.check_fits(opened)
    return opened, found


def need_extra() -> None:
    """One sentence where what serves is not installed."""
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise InputError("What serves is not installed. Run: pip install 'mechsteer[serve]'.") from error


def bound(port: int) -> socket.socket:
    """A socket of this machine's own address, which no other machine reaches."""
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(("127.0.0.1", port))
    except OSError as error:
        listening.close()
        raise InputError(f"The port {port} cannot be used ({error.strerror}). Choose another by --port.") from error
    return listening


def run(app: "Starlette", listening: socket.socket) -> None:
    """Until it is interrupted; what is being written then ends."""
    import uvicorn

    # It hands the signal on when all is closed; this is how a server ends, and nothing goes on by itself.
    with suppress(KeyboardInterrupt):
        uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2)).run([listening])
