"""Puts the report about one alert together: every integration, what its filters decide and what became of it."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from common.conditions import NO_NAMES, parse_named_conditions
from common.errors import ConditionError, ConfigError
from common.integration import Integration
from common.silences import compile_silence, silence_for
from common.windows import held_until
from ops.admin.explain.case import Case, valid
from ops.admin.explain.deliveries import report_delivery, report_end
from ops.admin.explain.ledger import Answer
from ops.admin.explain.ledger_search import MAX_SUBJECTS, find_in_ledger, silences_then, since_ms
from ops.admin.explain.model import VERSION, AlertReport, IntegrationReport, State
from ops.admin.explain.search import Missing, find_alert, is_alert_id
from ops.admin.explain.steps import conclude
from ops.admin.explain.subject import DELIVERY_ID, Subject
from ops.admin.filter_mismatch import describe_mismatches
from producer.digests.folder import folder_of
from producer.filters.decode import InvalidAlert, decode_line
from producer.filters.explain import MatchVerdict, explain_match

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from common.ledger import Group
    from common.settings.load import Settings
    from common.silences import AppliedSilence, Silence
    from ops.admin.explain.ledger import LedgerState
    from ops.admin.explain.model import DeliveryReport
    from producer.ossec_conf import Configuration
    from producer.source import Line, SearchableSource


class Explainer:
    """Explains alerts of one node. `state` is None if Redis does not answer; `redis_error` then says why.

    All methods raise LedgerUnavailable or LedgerMisconfigured if Redis stops to answer.
    """

    def __init__(
        self,
        settings: Settings,
        configuration: Configuration,
        source: SearchableSource,
        state: LedgerState | None,
        *,
        redis_error: str = "",
    ) -> None:
        self._settings, self._configuration, self._source = settings, configuration, source
        self._state, self._redis_error = state, redis_error
        self._node = settings.producer.node
        self._names = parse_named_conditions(configuration.conditions)
        self._changed_s = _changed_s(settings)
        self._silences = tuple(self._compiled_silences())

    def find(self, wanted: str, *, in_log: bool = True) -> list[Subject] | Missing:
        """Return the alerts with this id, their own or that of a delivery, or where it was searched.

        It is nearly always one alert, but managers can give an id twice. Without `in_log`, only Redis is searched.
        """
        found = self._in_log(wanted) if in_log else Missing("only Redis was searched")
        if not isinstance(found, Missing):
            return found[:MAX_SUBJECTS]
        if not self._state:
            return Missing(f"{found.where}; Redis does not answer: {self._redis_error}")
        if subjects := find_in_ledger(self._state, wanted):
            return subjects
        return Missing(
            "; ".join([found.where, "neither the ledger nor the history has it", *sorted(self._state.limits)])
        )

    def last(self, count: int) -> list[Subject]:
        """Return the last `count` alerts of the log, oldest first."""
        return [self.subject_of(line) for line in self._source.last(count)]

    def given(self, raw: bytes, source: str) -> Subject:
        """Return the alert with these bytes; if the log has the same one, that one."""
        subject = Subject(raw, source)
        if is_alert_id(subject.alert_id):
            found = find_alert(self._source, subject.alert_id, "")
            lines = () if isinstance(found, Missing) else found
            if same := next((line for line in lines if line.raw.strip() == raw.strip()), None):
                return self.subject_of(same)
        return subject

    def subject_of(self, line: Line) -> Subject:
        """Return a line of this node's log as an alert to explain."""
        log = self._settings.producer.alerts
        return Subject(line.raw, f"{log}: {line.location}", self._node, f"{self._node}:{line.id}", line)

    def explain(self, subject: Subject, ids: Sequence[str] = ()) -> AlertReport:
        """Return the report about an alert for these integrations, for all of them if there are none."""
        answer = self._ask(subject)  # before the notes, which say what was not read
        return AlertReport(
            version=VERSION,
            alert=subject.summary(),
            delivery=valid(subject.delivery),
            node=valid(subject.node),
            source=valid(subject.source),
            time_ms=self._state.now_ms if self._state else None,
            redis_error=valid(self._redis_error),
            notes=[*map(valid, self._notes(subject))],
            integrations=[_report(case, answer) for case in self._cases(subject, answer) if _is_wanted(case, ids)],
        )

    def _in_log(self, wanted: str) -> list[Subject] | Missing:
        """Return the alerts with this id, their own or that of a delivery, if the log has any."""
        log = self._settings.producer.alerts
        if is_alert_id(wanted):
            found = find_alert(self._source, wanted, str(log))
            return found if isinstance(found, Missing) else [self.subject_of(line) for line in found]
        if not (parts := DELIVERY_ID.fullmatch(wanted)):
            forms = "the id of an alert (1764000000.123) nor that of a delivery (NODE:FILE:OFFSET:CHECKSUM)"
            return Missing(f"it is neither {forms}")
        if (node := parts["node"]) != self._node:
            return Missing(f"it is of the node {node}, and this one is {self._node}: run this beside that manager")
        if line := self._source.line(parts["line"]):
            return [self.subject_of(line)]
        return Missing(f"no file of {log} and its dated files has that line any more")

    def _ask(self, subject: Subject) -> Answer | None:
        if not self._state:
            return None
        if not subject.delivery:
            return Answer(self._state, {}, {}, {})
        ended, digests = self._state.ended(subject.delivery, since_ms(subject.written_s))
        return Answer(self._state, self._state.locate(subject.delivery), ended, digests)

    def _notes(self, subject: Subject) -> Iterator[str]:
        if self._state and (error := self._state.producer.config_error):
            yield f"the producer of {self._node} does not use the current files: {error[:1000]}"
        if self._configuration.refused:
            yield "some integrations are refused and not explained; see `courier check`"
        if subject.facts:
            yield "the alert itself is not known here any more, only what the history keeps of it"
        if self._state:
            yield from sorted(self._state.limits)
        if self._state and (subject.facts or not self._configuration.integrations):
            yield from silences_then(self._state, subject.written_s)
        if subject.node and subject.node != self._node:
            yield f"the alert is of {subject.node}; filters are those of {self._node}"

    def _cases(self, subject: Subject, answer: Answer | None) -> Iterator[Case]:
        """Yield a case for each configured integration, then for others for which the ledger knows the alert."""
        configured = {one.id: one for one in self._configuration.integrations}
        explained = {} if subject.facts else configured  # filters need the alert
        for integration in explained.values():
            yield self._case(integration, subject)
        others = [] if answer is None else [one for one in (*answer.held, *answer.ended) if one not in explained]
        for one in dict.fromkeys(others):
            name = self._state.name(one) if self._state else one
            yield self._case(configured.get(one) or Integration(id=one, name=name), subject, with_filters=False)

    def _case(self, integration: Integration, subject: Subject, *, with_filters: bool = True) -> Case:
        match, problem, agents = None, "", self._configuration.agents
        try:
            match = explain_match(integration, self._names, subject.raw, agents) if with_filters else None
        except InvalidAlert as bad:
            problem = f"not an alert: the producer rejects the line ({bad})"
        return Case(
            integration=integration,
            policy=self._settings.policy(integration),
            subject=subject,
            source=self._source,
            changed_s=self._changed_s,
            silence=self._silence_for(integration, subject) if match else None,
            group=self._group_of(integration, subject) if match else None,
            match=match,
            problem=problem,
            with_filters=with_filters,
        )

    def _silence_for(self, integration: Integration, subject: Subject) -> Silence | None:
        """Return the silence that keeps the alert back if it is read when it is written, or else some time later."""
        written_s = subject.written_s
        if not self._silences or written_s is None:
            return None
        alert, written_ms = self._configuration.agents.decode(subject.raw), round(1000 * written_s)
        moments = sorted({written_ms, *(one.silence.start_ms for one in self._silences)})
        found = (silence_for(alert, one, integration, self._silences) for one in moments if one >= written_ms)
        return next(filter(None, found), None)

    def _group_of(self, integration: Integration, subject: Subject) -> Group | None:
        """Return the group into which the alert is folded if it is read when it is written."""
        if subject.line is None or subject.written_s is None:
            return None
        try:
            folder = folder_of(integration, self._names, self._configuration.agents.decode)
        except (ConfigError, ConditionError):  # such a configuration is refused, or of a newer version
            return None
        return folder.group_of(subject.line, self._held_until_ms(integration, subject)) if folder else None

    def _held_until_ms(self, integration: Integration, subject: Subject) -> int:
        """Return the end of the hold of an alert that is read when it is written, 0 if it is not held."""
        hold = integration.hold
        if hold is None or subject.written_s is None or not hold.applies_to(decode_line(subject.raw).rule.level):
            return 0
        end = held_until(hold, self._configuration.windows[hold.window], datetime.fromtimestamp(subject.written_s, UTC))
        return round(end.timestamp() * 1000) if end else 0

    def _compiled_silences(self) -> Iterator[AppliedSilence]:
        """Yield the silences that this node's producer applies; one that cannot be read silences nothing."""
        for one in self._state.silences if self._state else ():
            with suppress(ConditionError):
                if one.node in {"", self._node}:
                    yield compile_silence(one, self._names if one.node else NO_NAMES)


def _changed_s(settings: Settings) -> float | None:
    """Return when ossec.conf or courier.toml was last changed or put in its place; None if neither can be read."""
    found = list[float]()
    for file in (settings.producer.config, settings.file):
        with suppress(OSError):
            found.append(file.stat().st_ctime)
    return max(found, default=None)


def _is_wanted(case: Case, ids: Sequence[str]) -> bool:
    return not ids or case.integration.id in ids


def _report(case: Case, answer: Answer | None) -> IntegrationReport:
    held = answer.held.get(case.integration.id, ()) if answer else ()
    deliveries = [report_delivery(case, one, answer.state) for one in held] if answer else []
    conclusion, match = conclude(case, answer), case.match
    state, text, notes = conclusion.state, conclusion.text, [*conclusion.notes]
    commands = [*conclusion.commands]
    if main := _main(case, deliveries, state):
        state, text, commands = main.state, main.text, main.commands
        notes = (
            [] if conclusion.state is not State.NO_MATCH else [f"{conclusion.text} (with the current configuration)"]
        )
    where = f"{case.integration.file}:{case.integration.line}" if case.integration.file else ""
    return IntegrationReport(
        id=case.integration.id,
        name=case.integration.name,
        configured=case.with_filters or bool(where),
        where=where,
        matches=None if match is None else match.verdict is MatchVerdict.MATCHES,
        why_not=[] if match is None else list(describe_mismatches(match)),
        filters=[] if match is None else [*match.filters],
        conditions=[] if match is None else [*match.conditions],
        state=state,
        outcome="" if main else valid(conclusion.outcome),
        text=valid(text),
        notes=[*map(valid, notes)],
        commands=[*map(valid, commands)],
        digest=None if main else conclusion.digest,
        deliveries=deliveries,
        ended=[*map(report_end, answer.ended.get(case.integration.id, ()))] if answer else [],
    )


def _main(case: Case, deliveries: Sequence[DeliveryReport], concluded: State) -> DeliveryReport | None:
    """Return the delivery that says what became of the alert: its own, or any if nothing else is known."""
    own = next((one for one in deliveries if one.id == valid(case.subject.delivery)), None)
    is_open = concluded in {State.NO_MATCH, State.UNKNOWN} or not case.with_filters
    return own or (deliveries[0] if deliveries and is_open else None)
