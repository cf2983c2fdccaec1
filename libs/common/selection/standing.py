"""Where one key stands when a run finds it: the version that is there now, held against those that the ledger knows."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from libs.common.ids import RunId
from libs.common.ledger.model.files import FileVersion, KnownVersion, Reload
from libs.common.ledger.states import LOADED_FILE_STATES, UNDECIDED_FILE_STATES, FileState

Known = Sequence[KnownVersion]
_IN_WORK = frozenset({FileState.BATCHED, FileState.QUARANTINED})
_NOT_LOADED = frozenset({FileState.FAILED, FileState.MISSING, FileState.DISCOVERED})


@dataclass(frozen=True)
class KeyStanding:
    """``file`` is what is there now, ``run_id`` the run that asks, if any, ``reload`` what is known of the replacement
    of the key's rows, by any run that is at it, by this one, or by the one that it retries."""

    file: FileVersion
    versions: Known
    run_id: RunId | None = None
    reload: Reload | None = None

    @cached_property
    def same(self) -> KnownVersion | None:
        """The version that is there now, as the ledger knows it."""
        return next((v for v in self.versions if v.version_tag == self.file.version_tag), None)

    @cached_property
    def busy(self) -> KnownVersion | None:
        """A version that somebody has in work, or that is set aside."""
        return next((v for v in self.versions if v.held or v.state in _IN_WORK), None)

    @cached_property
    def waiting(self) -> KnownVersion | None:
        """A version that was found, and is in no batch."""
        return next((v for v in self.versions if v.state is FileState.DISCOVERED and not v.held), None)

    @cached_property
    def is_loaded(self) -> bool:
        """In whatever version."""
        return any(v.state in LOADED_FILE_STATES for v in self.versions)

    @property
    def is_this_version_loaded(self) -> bool:
        return self.same is not None and self.same.state in LOADED_FILE_STATES

    @property
    def is_settled(self) -> bool:
        """Whether a run that loads what is new passes the key over and counts it as skipped, and that is all: the
        version that is there now is loaded, by another run, and no other version waits or is in work.
        ``libs/common/ledger/known.py`` asks the same in SQL."""
        same = self.same
        return (
            same is not None
            and same.state in LOADED_FILE_STATES
            and not self.is_mine(same)
            and all(v.state not in UNDECIDED_FILE_STATES for v in self.versions)
        )

    @property
    def has_mine_loaded(self) -> bool:
        return any(v.state in LOADED_FILE_STATES and self.is_mine(v) for v in self.versions)

    @property
    def is_being_replaced(self) -> bool:
        return self.reload is not None and self.reload.state is FileState.BATCHED

    @property
    def is_remembered(self) -> bool:
        """Whether the ledger tells already why the version that is there now is not loaded."""
        same = self.same
        return same is not None and (
            same.state is FileState.SKIPPED or (same.state is FileState.FAILED and not same.by_policy)
        )

    @property
    def has_mine_failed(self) -> bool:
        """Whether the version that is there now failed in this very run."""
        return self.same is not None and self.same.state is FileState.FAILED and self.is_mine(self.same)

    @property
    def has_failed(self) -> bool:
        """And nothing else became of it since, except in an earlier attempt of this very run."""
        in_work = self.busy or self.waiting
        if in_work is not None:
            return self.is_mine(in_work)
        if self.is_loaded:
            return self.same is not None and self.same.state is FileState.FAILED
        return any(v.state in (FileState.FAILED, FileState.MISSING) for v in self.versions)

    def is_mine(self, version: KnownVersion) -> bool:
        return version.run_id == self.run_id

    def was_left_by(self, run_id: RunId) -> bool:
        """Whether that run did not load it, or this one, its retry, has taken it already."""
        return self._was_not_replaced_by(run_id) or any(
            self.is_mine(v) or (v.run_id == run_id and v.state in _NOT_LOADED) for v in self.versions
        )

    def _was_not_replaced_by(self, run_id: RunId) -> bool:
        if self.reload is None or self.reload.run_id == self.run_id:
            return self.reload is not None
        is_left = self.reload.run_id == run_id and self.reload.state in _NOT_LOADED
        return is_left and not self.is_this_version_loaded

    def stays_failed(self, retry_of: RunId | None, *, opens_failed: bool) -> bool:
        """Whether the version that is there now failed for what it holds, and is left as it is. What failed in this
        very run is."""
        same = self.same
        if same is None or same.state is not FileState.FAILED or same.by_policy or same.run_id == retry_of:
            return False
        return self.is_mine(same) or not opens_failed
