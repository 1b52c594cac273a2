"""A GGUF file whose weights are rounded once more: `python benchmarks/rounded.py MODEL.gguf --kind Q4_0`.

How much verdicts owe to quantisation can be seen by quantising again. What the file holds in blocks is read and written in blocks
of another kind; norms and all that is said beside the weights stay as they are. The new file lies beside the first, or in --out,
and is called MODEL.rounded-KIND.gguf: findings know it by that.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter, quants

WHOLE = (GGMLQuantizationType.F32, GGMLQuantizationType.F16, GGMLQuantizationType.BF16, GGMLQuantizationType.F64)
"""Kinds of numbers that are in no blocks."""


def rounded(path: Path, out: Path, kind: GGMLQuantizationType) -> Path:
    """Write the file anew; what was in blocks is in blocks of this kind."""
    reader = GGUFReader(path)
    writer = GGUFWriter(out, reader.fields["general.architecture"].contents())
    for name, field in reader.fields.items():
        # The writer says these itself.
        if name == "general.architecture" or name.startswith("GGUF."):
            continue
        inner = field.types[-1] if field.types[0] == GGUFValueType.ARRAY else None
        writer.add_key_value(name, field.contents(), field.types[0], sub_type=inner)
    for tensor in reader.tensors:
        if tensor.tensor_type in WHOLE:
            writer.add_tensor(tensor.name, np.array(tensor.data), raw_dtype=tensor.tensor_type)
        else:
            values = quants.dequantize(tensor.data, tensor.tensor_type)
            writer.add_tensor(tensor.name, quants.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return out


def main(
    model: Annotated[Path, typer.Argument(help="A GGUF file.")],
    kind: Annotated[str, typer.Option(help="Q4_0, Q4_1, Q5_0, Q5_1 or Q8_0.")] = "Q4_0",
    out: Annotated[Path | None, typer.Option(help="The folder to write into, by default the model's.")] = None,
) -> None:
    """Print where the rounded file lies."""
    print(rounded(model, (out or model.parent) / f"{model.stem}.rounded-{kind}.gguf", GGMLQuantizationType[kind]))


if __name__ == "__main__":
    typer.run(main)
