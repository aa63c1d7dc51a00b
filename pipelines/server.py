"""A Kubeflow Pipelines server: how it is reached, and its failures as one clear message each."""

from __future__ import annotations

import json
import os
import ssl
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairness_core.errors import ConfigError, EvenhandError

__all__ = ["Endpoint", "ServerError", "Uncertain", "connect", "translated"]


class ServerError(EvenhandError):
    """The server refused a request, or is not there."""


class Uncertain(ServerError):  # noqa: N818 - it says what is not known
    """The request may have been carried out: its answer never came."""


@dataclass(frozen=True)
class Endpoint:
    """Where the server is and who asks.

    Attributes:
        host: Its address; None: ``KF_PIPELINES_ENDPOINT``, else the cluster that this runs in.
        token: Bearer token; None: ``EVENHAND_KFP_TOKEN``, else what the cluster gives its pods in
            the file that ``KF_PIPELINES_SA_TOKEN_PATH`` names.
        namespace: Of the experiments, on servers with several users.
        ui_host: Address of its pages, if another.
        ca: File with the certificates that its own is checked by.
        timeout: Seconds for each request.
    """

    host: str | None = None
    token: str | None = None
    namespace: str = ""
    ui_host: str | None = None
    ca: str | None = None
    timeout: int = 30


def connect(endpoint: Endpoint) -> Any:
    """A kfp client.

    Raises:
        ConfigError: There is no address, here or in the environment, and no cluster around; or the
            certificates cannot be read.
        ServerError: The server does not answer, or does not take the token.
    """
    import kfp
    from kfp.client import client as module

    class Client(kfp.Client):  # type: ignore[misc]
        """kfp's own, asking for the server's health once and not for half a minute."""

        def get_kfp_healthz(self, sleep_duration: int = 0) -> Any:
            return self._healthz_api.healthz_service_get_healthz()

    host = endpoint.host or os.environ.get(module.KF_PIPELINES_ENDPOINT_ENV)
    token = endpoint.token or os.environ.get("EVENHAND_KFP_TOKEN") or _projected()
    if host and not host.startswith(("http://", "https://")):
        raise ConfigError(
            "The server's address starts with http:// or https://",
            given=host,
            do=f"write http://{host}, or https://{host}",
        )
    if not host and not os.environ.get("KUBERNETES_SERVICE_HOST"):
        raise ConfigError(
            "No Kubeflow Pipelines server is named",
            do="give --host, set KF_PIPELINES_ENDPOINT, or run inside the cluster",
        )
    _check_ca(endpoint.ca)
    with warnings.catch_warnings(), _limited(endpoint.timeout), translated(host, "connect"):
        warnings.simplefilter("ignore", FutureWarning)
        client = Client(
            host=host,
            existing_token=token,
            # kfp takes its own default name for none given, and then asks the server.
            namespace=endpoint.namespace or "kubeflow",
            ui_host=endpoint.ui_host,
            ssl_ca_cert=endpoint.ca,
        )
    return client


def _check_ca(ca: str | None) -> None:
    if ca is None:
        return
    try:
        ssl.create_default_context(cafile=ca)
    except OSError as error:  # ssl's own among them
        raise ConfigError(
            f"The certificates cannot be read: {error}",
            given=ca,
            do="give a PEM file with the certificate of the server's authority by --ca",
        ) from error


def _projected() -> str | None:
    """A pod's own token for Kubeflow, if it was given one; kfp reads it without an address only."""
    path = os.environ.get("KF_PIPELINES_SA_TOKEN_PATH")
    if not path:
        return None
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(f"The pod's token for Kubeflow cannot be read: {error}") from error


@contextmanager
def _limited(seconds: int) -> Iterator[None]:
    """Every request made by clients of this block ends after some time; kfp's never would."""
    from kfp_server_api import rest

    made = rest.RESTClientObject.__init__

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        made(self, *args, **kwargs)
        request = self.request

        def limited(*words: Any, _request_timeout: Any = None, **rest_of: Any) -> Any:
            return request(*words, _request_timeout=_request_timeout or seconds, **rest_of)

        self.request = limited
        # A request that changes something is never sent twice.
        self.pool_manager.connection_pool_kw["retries"] = False

    rest.RESTClientObject.__init__ = init
    try:
        yield
    finally:
        rest.RESTClientObject.__init__ = made


@contextmanager
def translated(host: str | None, what: str) -> Iterator[None]:
    """The client's errors as ours.

    Args:
        host: Shown in the message.
        what: What was asked for, such as ``submit a run``.

    Raises:
        ServerError: The server was not reached or has refused.
        Uncertain: It was reached, and no proper answer came.
    """
    from kfp_server_api.exceptions import ApiException
    from urllib3 import exceptions as urllib3

    place = host or "the cluster's own server"
    try:
        yield
    except ApiException as error:
        raise _refused(error, place, what) from error
    except AttributeError as error:
        # Failures of TLS have no body, and kfp's client decodes it all the same.
        cause = error.__context__
        if not isinstance(cause, ApiException):
            raise
        raise _refused(cause, place, what) from cause
    except (urllib3.NewConnectionError, urllib3.ConnectTimeoutError) as error:
        raise ServerError(
            f"Cannot {what}: the server cannot be reached",
            given=place,
            do="correct --host, or forward its port: kubectl -n kubeflow port-forward "
            "svc/ml-pipeline 8888",
        ) from error
    except urllib3.HTTPError as error:
        raise Uncertain(
            f"Cannot tell whether it did {what}: no answer came ({type(error).__name__})",
            given=place,
            do="look at the server's page before trying again",
        ) from error


def _refused(error: Any, place: str, what: str) -> ServerError:
    status, said = error.status, _said(error.body)
    if status == 401:
        return ServerError(
            f"Cannot {what}: the token is missing, wrong or expired",
            given=place,
            do="get a new token and give it by --token or EVENHAND_KFP_TOKEN",
        )
    if status == 403:
        return ServerError(
            f"Cannot {what}: this account may not. {said}".rstrip(),
            given=place,
            do="ask for the role in the namespace, or name another by --namespace",
        )
    if status == 404:
        return ServerError(f"Cannot {what}: there is no such thing. {said}".rstrip(), given=place)
    if not status:
        return _untrusted(error, place, what)
    if status >= 500:
        return Uncertain(
            f"Cannot tell whether it did {what}: the server failed with status {status}. {said}",
            given=place,
            do="look at the server's page and its log before trying again",
        )
    return ServerError(f"Cannot {what}: status {status}. {said}".rstrip(), given=place)


def _untrusted(error: Any, place: str, what: str) -> ServerError:
    """The connection failed below HTTP; why is in the message of ssl alone."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__context__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return ServerError(f"Cannot {what}: the certificate is not trusted", given=place,
                           do="give the file of its authority by --ca")  # fmt: skip
    brief = " ".join(str(cause or error).split())[:300]
    return ServerError(
        f"Cannot {what}: the server does not speak https as it should: {brief}",
        given=place,
        do="look whether its address begins with http://",
    )


def _said(body: Any) -> str:
    """The server's own words, shortened."""
    text = body.decode(errors="replace") if isinstance(body, bytes) else str(body or "")
    try:
        found: Mapping[str, Any] = json.loads(text)
        text = str(found.get("message") or found.get("error") or text)
    except (ValueError, AttributeError):
        pass
    brief = " ".join(text.split())
    return f"It says: {brief[:300]}" if brief else ""
