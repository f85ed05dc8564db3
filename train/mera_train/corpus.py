"""`mera-edge corpus`: make training data, label it with a teacher, and pack it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Make, label and pack training data.")

Data = Annotated[Path, typer.Argument(help="Directory of the corpora.")]
Out = Annotated[Path, typer.Argument(help="Archive to write.", metavar="OUT.zip")]


@app.command()
def pack(
    corpus: Annotated[
        str, typer.Argument(help="A manifest, or the folder of LibriSpeech or AISHELL-1.")
    ],
    out: Out,
    speakers: Annotated[
        list[str] | None,
        typer.Argument(help="Use only these speakers. Default: all.", metavar="SPEAKER"),
    ] = None,
) -> None:
    """Pack recordings and transcripts into an archive that training reads from --data."""
    from mera_train.asr import pack

    pack.pack(corpus, out, speakers or ())


@app.command()
def synthesize(
    data: Data,
    out: Out,
    count: Annotated[int, typer.Argument(min=1, help="Number of sentences to synthesize.")],
    texts: Annotated[
        list[Path] | None,
        typer.Argument(help="Plain-text files with more sentences.", metavar="TEXT"),
    ] = None,
) -> None:
    """Make a corpus of sentences spoken by the speech synthesizers of this machine."""
    from mera_train.asr import synthesize

    synthesize.synthesize(data, out, count, texts or ())


@app.command()
def transcribe(
    bundle: Annotated[Path, typer.Argument(help="Bundle whose recognizer transcribes.")],
    out: Out,
    share: Annotated[
        float,
        typer.Argument(min=0, max=1, help="Share of the files to keep, the most confident first."),
    ],
    files: Annotated[list[Path], typer.Argument(help="Recordings.", metavar="FILE")],
) -> None:
    """Transcribe recordings for self-training (`synthetic` in a training configuration)."""
    from mera_train.asr import self_training

    self_training.label(bundle, out, share, files)


@app.command()
def label_faces(
    folder: Annotated[Path, typer.Argument(help="Pictures, in folders of any depth.")],
    teacher: Annotated[Path, typer.Option(help="YuNet's ONNX file.")],
    out: Annotated[
        Path, typer.Option(help="CSV file to write; its paths are relative to its folder.")
    ],
    least: Annotated[float, typer.Option(help="Minimum confidence of a face.")] = 0.3,
    portraits: Annotated[
        bool,
        typer.Option("--portraits", help="Leave out pictures in which the teacher finds no face."),
    ] = False,
) -> None:
    """Label faces and landmarks with a teacher model, to train the face detector on."""
    from mera_train.face_detector.label import label

    label(folder, teacher, out, least, portraits)


@app.command()
def rebuild_crema(
    repository: Annotated[
        Path, typer.Argument(help="Clone of Preslavva/EmoReco.", metavar="EMORECO")
    ],
    out: Out,
    every: Annotated[int, typer.Option(min=1, help="Use only every N-th picture.")] = 1,
) -> None:
    """Rebuild CREMA-D's recordings from pictures of their spectrograms."""
    from mera_train.voice import crema

    print(f"{crema.rebuild(repository, out, every)} recordings", file=sys.stderr)
