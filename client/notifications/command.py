"""``autoloader notifications``: having a bucket tell of its objects."""

import json
import sys
from enum import StrEnum
from typing import Annotated

import typer
from pydantic import ValidationError

from client.notifications.aws import AwsPlan, script, terraform
from client.notifications.place import Place, place_of
from client.rest import DEFAULT_API_URL
from client.terminal import Api, connected, found, say, trouble_told
from libs.common.contracts.definition import Source
from libs.common.errors import Permanent
from libs.common.settings import CommonSettings, load

app = typer.Typer(no_args_is_help=True, help="Having buckets tell of the files that land.")


class Form(StrEnum):
    """What the command makes."""

    MINIO = "minio"
    TERRAFORM = "terraform"
    CLI = "cli"


@app.callback()
def _group() -> None:
    """Keeps the command's own name, though it is the only one."""


@app.command()
def setup(
    where: Annotated[str, typer.Argument(help="An ingestion's id or name, or s3://bucket/prefix/.", metavar="WHERE")],
    form: Annotated[
        Form,
        typer.Option(
            "--as", help="minio: configure the bucket. terraform, cli: print what does so at AWS, through a queue."
        ),
    ] = Form.MINIO,
    suffix: Annotated[
        str | None, typer.Option(help="What keys have to end in. Unset: as the ingestion's pattern says.")
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(help="minio: the target's ARN. Unset: arn:minio:sqs:<AUTOLOADER_S3_REGION>:AUTOLOADER:kafka."),
    ] = None,
    queue: Annotated[
        str | None, typer.Option(help="terraform, cli: the queue's name. Unset: autoloader-<bucket>.")
    ] = None,
    region: Annotated[
        str | None, typer.Option(help="terraform, cli: the bucket's. Unset: AUTOLOADER_S3_REGION.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="minio: only show the configuration.")] = False,
    api: Api = DEFAULT_API_URL,
) -> None:
    """Have a bucket tell Autoloader of new objects. What others configured there stays.

    A bucket of MinIO is configured with the keys in AUTOLOADER_S3_ENDPOINT_URL, AUTOLOADER_S3_ACCESS_KEY_ID and
    AUTOLOADER_S3_SECRET_ACCESS_KEY. Safe to repeat.
    """
    with trouble_told():
        settings = load(CommonSettings)
        place = place_of(_source(where, api), suffix)
        if form is not Form.MINIO:
            plan = AwsPlan(place, queue or f"autoloader-{place.bucket.replace('.', '-')}", region or settings.s3_region)
            sys.stdout.write(terraform(plan) if form is Form.TERRAFORM else script(plan))
            return
        _configure(place, target or f"arn:minio:sqs:{settings.s3_region}:AUTOLOADER:kafka", settings, dry_run=dry_run)


def _configure(place: Place, target: str, settings: CommonSettings, *, dry_run: bool) -> None:
    from client.notifications.minio import set_up

    configuration, change = set_up(place, target, settings, dry_run=dry_run)
    if dry_run:
        sys.stdout.write(json.dumps(configuration, indent=2, ensure_ascii=False) + "\n")
    match change:
        case "there":
            say(f"{target} is told of {place} already")
        case "added" | "changed":
            say(f"{target} {'would be' if dry_run else 'is'} told of {place} ({change})")


def _source(where: str, api: str) -> Source:
    """
    Raises:
        Permanent: code ``bad_path``, or there is no such ingestion.
    """
    if "://" not in where:
        with connected(api) as client:
            told = client.ingestion(found(client, where)).source
            return Source(path=told.path, file_pattern=told.file_pattern)
    try:
        return Source(path=where)
    except ValidationError as e:
        raise Permanent(f"{where!r} is no place: {_plain(e)}", code="bad_path", hint="write s3://bucket/prefix/") from e


def _plain(error: ValidationError) -> str:
    return str(error.errors()[0]["msg"]).removeprefix("Value error, ")
