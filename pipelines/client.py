"""Runs on a cluster: start, watch, read, stop, repeat. Nothing is ever started twice."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

from pipelines.job import Job, Started, TaskState, config, lines, named, spec, task_state
from pipelines.server import Endpoint, ServerError, Uncertain, connect, translated

__all__ = ["Cluster"]

ENDED = ("SUCCEEDED", "FAILED", "CANCELED", "CANCELLED", "SKIPPED")
PAGE = 50


class Cluster:
    """A server and what is asked of it.

    Args:
        endpoint: Where it is.

    Raises:
        ConfigError: No address.
        ServerError: It does not answer or take the token.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._client = connect(endpoint)

    def submit(self, job: Job) -> Started:
        """Start a run, once.

        When no answer comes, the server is asked whether it has the run; it is not sent again.

        Raises:
            ServerError: Refused or not reached; there is no run.
            Uncertain: No answer, and the server cannot be asked; the message names the run.
        """
        from kfp_server_api import V2beta1Run

        experiment = self._experiment(job.experiment)
        name = f"{job.name} {secrets.token_hex(4)}"
        body = V2beta1Run(
            experiment_id=experiment,
            display_name=name,
            description=lines(job.tags),
            pipeline_spec=spec(job),
            runtime_config=config(job),
            service_account=job.service_account or None,
        )
        try:
            with translated(self._endpoint.host, "submit the run"):
                made = self._client.runs.run_service_create_run(run=body)
        except Uncertain as error:
            listing = self._client.runs.run_service_list_runs
            made = self._recovered(error, listing, "runs", name, experiment)
        return Started(made.run_id, name, self._link("runs", made.run_id))

    def schedule(self, job: Job, cron: str) -> Started:
        """Repeat a run; a schedule of that name that exists already is refused.

        Args:
            job: Its name is the schedule's, as it stands.
            cron: See `pipelines.cron.check_cron`, which it has passed.

        Raises:
            ServerError: Refused, not reached, or the name is taken.
            Uncertain: As `submit`.
        """
        from kfp_server_api import RecurringRunMode, V2beta1CronSchedule, V2beta1RecurringRun
        from kfp_server_api import V2beta1Trigger as Trigger

        experiment = self._experiment(job.experiment)
        listing = self._client._recurring_run_api.recurring_run_service_list_recurring_runs
        if self._find(listing, "recurring_runs", job.name, experiment) is not None:
            raise ServerError(
                "There is a schedule of that name already",
                given=job.name,
                do="delete it on the server's page first, or give another --name",
            )
        body = V2beta1RecurringRun(
            experiment_id=experiment,
            display_name=job.name,
            description=lines(job.tags),
            pipeline_spec=spec(job),
            runtime_config=config(job),
            service_account=job.service_account or None,
            mode=RecurringRunMode.ENABLE,
            max_concurrency="1",
            no_catchup=True,
            trigger=Trigger(cron_schedule=V2beta1CronSchedule(cron=cron)),
        )
        create = self._client._recurring_run_api.recurring_run_service_create_recurring_run
        try:
            with translated(self._endpoint.host, "create the schedule"):
                made = create(recurring_run=body)
        except Uncertain as error:
            made = self._recovered(error, listing, "recurring_runs", job.name, experiment)
        return Started(
            made.recurring_run_id, job.name, self._link("recurringrun", made.recurring_run_id)
        )

    def status(self, run_id: str) -> tuple[str, list[TaskState]]:
        """State of a run, and of its tasks that have begun.

        Raises:
            ServerError: No such run, refused or not reached.
        """
        run = self._run(run_id)
        details = run.run_details.task_details if run.run_details else None
        return str(run.state or "PENDING"), [task_state(detail) for detail in details or []]

    def origin(self, run_id: str) -> tuple[str, dict[str, str]]:
        """Description and parameters of a run.

        Raises:
            ServerError: No such run, refused or not reached.
        """
        run = self._run(run_id)
        parameters = run.runtime_config.parameters if run.runtime_config else None
        return str(run.description or ""), dict(parameters or {})

    def cancel(self, run_id: str) -> bool:
        """Stop a run; gives False where it had ended already.

        Raises:
            ServerError: No such run, refused or not reached.
        """
        if self._run(run_id).state in ENDED:
            return False
        with translated(self._endpoint.host, "cancel the run"):
            self._client.runs.run_service_terminate_run(run_id=run_id)
        return True

    def logs(self, run_id: str, task: str = "") -> Iterator[tuple[str, str]]:
        """What the pods of a run have printed, task by task.

        Args:
            run_id: The run.
            task: Of this task alone, by the name that `status` shows; empty: of all.

        Raises:
            ServerError: No such run or task, or the server keeps no logs of it.
        """
        tasks = [state for state in self.status(run_id)[1] if state.pod]
        wanted = [state for state in tasks if task in ("", state.name)]
        if not wanted:
            names = ", ".join(dict.fromkeys(state.name for state in tasks)) or "none so far"
            raise ServerError("No pod of that task has begun", given=task or run_id,
                              do=f"choose among the run's tasks: {names}")  # fmt: skip
        for state in wanted:
            with translated(self._endpoint.host, f"read the log of {state.name}"):
                answer = self._client._run_api.api_client.call_api(
                    f"/apis/v1alpha1/runs/{run_id}/nodes/{state.pod}/log",
                    "GET",
                    header_params={"Accept": "text/plain"},
                    auth_settings=["Bearer"],
                    _preload_content=False,
                    _return_http_data_only=True,
                )
                yield state.name, answer.data.decode(errors="replace")

    def _run(self, run_id: str) -> Any:
        with translated(self._endpoint.host, "read the run"):
            return self._client.runs.run_service_get_run(run_id=run_id)

    def _experiment(self, name: str) -> str:
        """Id of an experiment, made if there is none of that name."""
        from kfp_server_api import V2beta1Experiment

        api, namespace = self._client.experiments, self._endpoint.namespace
        with translated(self._endpoint.host, "open the experiment"):
            found = api.experiment_service_list_experiments(
                filter=named(name), page_size=1, **({"namespace": namespace} if namespace else {})
            )
            if found.experiments:
                return str(found.experiments[0].experiment_id)
            body = V2beta1Experiment(display_name=name, namespace=namespace or None)
            made = api.experiment_service_create_experiment(experiment=body)
            return str(made.experiment_id)

    def _find(self, listing: Any, kind: str, name: str, experiment: str) -> Any:
        """What has that very name, or None."""
        with translated(self._endpoint.host, f"look for '{name}'"):
            found = listing(experiment_id=experiment, filter=named(name), page_size=PAGE)
        same = [one for one in getattr(found, kind) or [] if one.display_name == name]
        return same[0] if same else None

    def _recovered(
        self, error: Uncertain, listing: Any, kind: str, name: str, experiment: str
    ) -> Any:
        """What was made although no answer came; never asks for it a second time."""
        try:
            made = self._find(listing, kind, name, experiment)
        except ServerError as again:
            raise Uncertain(
                f"{error.what}; nor could it be asked whether it has '{name}'",
                given=error.given,
                do=f"look for '{name}' on the server's page before trying again",
            ) from again
        if made is None:
            raise ServerError(
                f"{error.what}; the server has nothing named '{name}'",
                given=error.given,
                do="try again when the server is well",
            ) from error
        return made

    def _link(self, kind: str, run_id: str) -> str:
        return f"{self._client._get_url_prefix().rstrip('/')}/#/{kind}/details/{run_id}"
