"""When an asset asks to be run: its inputs' contents changed, and their blocking checks passed."""

import dagster as dg


def when_inputs_change(partitioned: dg.AssetKey | None = None) -> dg.AutomationCondition:  # type: ignore[type-arg]
    """Ask once after a dependency's data version changed, unless a blocking check of a dependency failed.

    Of a dependency that is ``partitioned`` some partitions may have no files ever: missing ones hold nothing up.

    ``eager()`` would also run after a rerun that changed nothing, and after a failed check of an earlier run.
    What is about to run in the same tick counts, so that one change makes one run of the whole chain.
    """
    condition = dg.AutomationCondition
    changed = condition.any_deps_match(condition.data_version_changed() | condition.will_be_requested())
    missing = condition.any_deps_missing()
    if partitioned is not None:
        missing = missing.ignore(dg.AssetSelection.assets(partitioned))
    return (
        changed.since_last_handled()
        & ~missing
        & ~condition.any_deps_in_progress()
        & ~condition.in_progress()
        & condition.all_deps_blocking_checks_passed()
    ).with_label("an input's content changed and its blocking checks passed")
