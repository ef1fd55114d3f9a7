"""Every setting of telebeat: read from `TELEBEAT_...` variables, a `.env` file, or the command line."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

import platformdirs
from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, DotEnvSettingsSource, EnvSettingsSource, SettingsConfigDict

from stream.errors import SettingsError

S = TypeVar("S", bound=BaseSettings)

ENV_FILE: Final = ".env"
ENCODING: Final = "utf-8-sig"  # of the file; some editors write a mark before UTF-8, which must hide no setting
MISSPELT: Final = 0.9  # likeness of names, as difflib has it, from which one was meant for the other: a letter or two


def _named(value: Any) -> Any:
    """Refuse an empty name, as a script makes it of a variable that it does not have."""
    if isinstance(value, str) and not value.strip():
        raise PydanticCustomError("empty", "it is empty, which would be the current folder; name one or unset it")
    return value


Folder = Annotated[Path, BeforeValidator(_named)]


class KafkaSettings(BaseSettings):
    """Where the cluster is and how to be let in: `TELEBEAT_KAFKA_...`."""

    model_config = SettingsConfigDict(
        env_prefix="TELEBEAT_KAFKA_", env_file=ENV_FILE, env_file_encoding=ENCODING, extra="ignore", frozen=True
    )

    bootstrap: str = Field("localhost:9092", description="host:port of one or more brokers, comma separated")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    ca_file: Path | None = Field(None, description="certificate authority that signed the brokers' certificates")
    cert_file: Path | None = Field(None, description="this client's certificate, for mutual TLS")
    key_file: Path | None = Field(None, description="this client's key, for mutual TLS")
    group: str = Field("telebeat", description="consumer group of the monitor's workers")
    topic_prefix: str = Field("", description="put before every topic name, to share a cluster: 'test.'")
    partitions: int = Field(16, ge=1, le=1000, description="of each topic that `telebeat topics create` makes")
    replication: int = Field(1, ge=1, le=7, description="copies of each partition; 3 on a real cluster")


class Settings(BaseSettings):
    """What is not Kafka's: `TELEBEAT_...`."""

    model_config = SettingsConfigDict(
        env_prefix="TELEBEAT_", env_file=ENV_FILE, env_file_encoding=ENCODING, extra="ignore", frozen=True
    )

    data_dir: Folder | None = Field(None, description="folder of WFDB databases (mitdb/, svdb/, ...)")
    cache_dir: Folder | None = Field(None, description="folder for downloads that are kept; default: the user's cache")
    model_dir: Folder | None = Field(None, description="folder of a trained model; default: the one that ships")
    http_host: str = "127.0.0.1"
    http_port: int = Field(9464, ge=0, le=65535, description="of /metrics, /healthz and /readyz; 0: any free")
    log_format: Literal["json", "console"] = "json"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    silent_after_s: float = Field(
        10.0, gt=0, le=300, description="seconds without a frame before a bed is called silent"
    )
    checkpoint_s: float = Field(5.0, gt=0, le=3600, description="seconds between two snapshots of a bed")


def load(**given: Any) -> Settings:
    """The settings of this process; what is given goes before variables. `SettingsError` names each wrong variable."""
    return load_as(Settings, given)


def load_kafka(**given: Any) -> KafkaSettings:
    """The same for the Kafka settings."""
    return load_as(KafkaSettings, given)


def variables(kind: type[BaseSettings]) -> set[str]:
    """Names of all variables there are, in capitals, of the environment and of the file of settings.

    Raises
    ------
    SettingsError
        If the file cannot be read as text.
    """
    try:
        return {name.upper() for source in (EnvSettingsSource, DotEnvSettingsSource) for name in source(kind).env_vars}
    except UnicodeDecodeError as error:
        raise SettingsError(f"the file of settings {ENV_FILE} is not in UTF-8 ({error}); save it as such") from None


def load_as(kind: type[S], given: Mapping[str, Any]) -> S:
    """Settings of any kind.

    Raises
    ------
    SettingsError
        If a variable has a value that it cannot have; it names each. Or if one is nearly called like a setting: what
        was misspelt must not seem to hold. Others of the prefix may be anybody's: an orchestrator sets TELEBEAT_PORT.
    """
    prefix = str(kind.model_config.get("env_prefix", ""))
    known = {f"{prefix}{name}".upper() for name in kind.model_fields}
    for name in sorted(variables(kind) - known):
        if near := difflib.get_close_matches(name, known, n=1, cutoff=MISSPELT):
            raise SettingsError(f"{name} is no setting: did you mean {near[0]}?")
    try:
        return kind(**given)
    except ValidationError as error:
        lines = (f"{prefix}{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors())
        raise SettingsError("wrong setting: " + "; ".join(lines)) from None


def data_dirs(chosen: Path | None = None) -> list[Path]:
    """Folders to look for databases in, best first, each once: the usual one, beside the checkout, the user's cache.

    Parameters
    ----------
    chosen : Path, optional
        Named at the command: this one alone. What lies in another may be something else.

    Raises
    ------
    SettingsError
        If one that was named does not exist.
    """
    usual = load().data_dir
    name, folder = ("TELEBEAT_DATA_DIR", usual) if chosen is None else ("--data-dir", chosen)
    if folder is not None and not folder.is_dir():
        raise SettingsError(f"{name}: there is no folder {folder}; correct it or leave it out")
    if chosen is not None:
        return [chosen]
    found: dict[Path, Path] = {}
    for folder in (usual, BESIDE_CHECKOUT, user_data_dir()):
        if folder is not None and folder.is_dir():
            found.setdefault(folder.resolve(), folder)
    return list(found.values())


def cache_dir() -> Path:
    """Where downloads are kept between runs."""
    return load().cache_dir or Path(platformdirs.user_cache_dir("telebeat"))


def user_data_dir() -> Path:
    """Where `telebeat download` puts databases."""
    return cache_dir() / "data"


BESIDE_CHECKOUT: Final = Path(__file__).resolve().parents[2] / "shared" / "data"
