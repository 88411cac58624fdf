"""When an asset asks to be run: its inputs are not those that it was made of, and their blocking checks passed."""

import json

import dagster as dg

from vector_assets.assets.partitions import VERSION_TAG

#: In the data version of an index: what stands before the first is the number of the live generation.
GENERATION_END = "-"


class InputsDiffer(dg.AutomationCondition[dg.AssetKey]):
    """True when a dependency's content is another than the last materialization of the asset was made of.

    Dagster notes on each materialization which event of each dependency it read. Comparing contents instead of the
    times of events, as ``data_version_changed().since_last_handled()`` does, loses no change, whenever it comes:
    in the tick after a request, while the chain runs or as it ends. What is in the inputs when the step begins is
    made use of; what comes later differs from what was noted.

    The same inputs are asked for once for each materialization, so that a run that fails is not asked for again
    until its inputs change. No dependency is partitioned by more than time, and of such a one the version of the whole
    counts, so that partitions which have no files hold nothing up.
    """

    @property
    def name(self) -> str:
        """The word for it in the tree of conditions that Dagster shows."""
        return "inputs_differ"

    @property
    def description(self) -> str:
        """What it says there."""
        return "An input's content is not what the last materialization was made of"

    def evaluate(self, context: dg.AutomationContext[dg.AssetKey]) -> dg.AutomationResult[dg.AssetKey]:
        """Compare. Its cursor is what was asked for last; it must stand last in its condition, to ask when it is true.

        An empty candidate subset (another condition holds the asset up) asks for nothing, so nothing is noted.
        """
        nothing = dg.AutomationResult(context, context.get_empty_subset(), cursor=context.cursor)
        if context.candidate_subset.is_empty:
            return nothing
        instance = context.asset_graph_view.instance
        dependencies = sorted(context.asset_graph.get(context.key).parent_keys)
        records = {
            record.asset_entry.asset_key: record.asset_entry.last_materialization_record
            for record in instance.get_asset_records([context.key, *dependencies])
        }
        newest = {dependency: records.get(dependency) for dependency in dependencies}
        own = records.get(context.key)
        if all(event and self._is_made_of(instance, own, key, event) for key, event in newest.items()):
            return nothing
        if not all(newest.values()):
            return nothing  # an input was never there
        versions = [self.version(event) for event in newest.values() if event]
        asking = json.dumps([own.storage_id if own else None, *versions])
        if asking == context.cursor:
            return nothing
        return dg.AutomationResult(context, context.candidate_subset, cursor=asking)

    def version(self, event: dg.EventLogRecord) -> str:
        """Return what counts as the content of an input."""
        tags = _tags(event)
        return tags.get(VERSION_TAG) or tags.get("dagster/data_version") or f"event {event.storage_id}"

    def _is_made_of(
        self,
        instance: dg.DagsterInstance,
        own: dg.EventLogRecord | None,
        dependency: dg.AssetKey,
        newest: dg.EventLogRecord,
    ) -> bool:
        """Tell whether an asset's materialization read the content that a dependency has now."""
        pointer = _tags(own).get(f"dagster/input_event_pointer/{dependency.to_user_string()}") if own else None
        if pointer is None or not pointer.isdecimal():
            return False
        if int(pointer) == newest.storage_id:
            return True
        read = instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=dependency, storage_ids=[int(pointer)]), limit=1
        ).records
        return bool(read) and self.version(read[0]) == self.version(newest)


class GenerationDiffers(InputsDiffer):
    """True when another generation is live than the one that the asset was made of; rows that changed do not count."""

    @property
    def name(self) -> str:
        """The word for it in the tree of conditions that Dagster shows."""
        return "generation_differs"

    @property
    def description(self) -> str:
        """What it says there."""
        return "Another generation is live than the one that the last materialization was made of"

    def version(self, event: dg.EventLogRecord) -> str:
        """Return the number of the live generation."""
        return super().version(event).partition(GENERATION_END)[0]


def when_inputs_change() -> dg.AutomationCondition:  # type: ignore[type-arg]
    """Ask once for inputs that differ, unless a blocking check of a dependency failed, also in an earlier run.

    What is about to run in the same tick counts, so that one change makes one run of the whole chain.
    """
    condition = dg.AutomationCondition
    return (
        ~condition.any_deps_in_progress()
        & ~condition.in_progress()
        & condition.all_deps_blocking_checks_passed()
        & (condition.any_deps_match(condition.will_be_requested()) | InputsDiffer())
    ).with_label("an input's content changed and its blocking checks passed")


def when_another_goes_live() -> dg.AutomationCondition:  # type: ignore[type-arg]
    """Ask once for each generation that goes live, and not for rows that change."""
    condition = dg.AutomationCondition
    return (
        ~condition.any_deps_in_progress()
        & ~condition.in_progress()
        & condition.all_deps_blocking_checks_passed()
        & GenerationDiffers()
    ).with_label("another generation is live")


def _tags(event: dg.EventLogRecord) -> dict[str, str]:
    made = event.asset_materialization
    return dict(made.tags or {}) if made else {}
