"""What is broken in files."""

from __future__ import annotations

from tests.planted.defect import defect

FILES = "backends/_filesystem"
FILES_GAPS = "backends/test_backends_planted_gaps.py"

ON_FILES = (
    defect(
        "the file is not brought to the disk",
        f"{FILES}/_draft.py",
        "        if self._disk.durable:\n            self._disk.calls.sync(self._descriptor)\n",
        "",
        "backends/test_files_disk_faults.py::test_a_file_that_was_not_brought_to_the_disk_is_not_published",
    ),
    defect(
        "the folder is not brought to the disk",
        f"{FILES}/_objects.py",
        '                self._make_durable(folder, key, "written")\n',
        "",
        "backends/test_files_disk_faults.py::test_a_folder_that_was_not_brought_to_the_disk_is_unknown",
    ),
    defect(
        "an object is published before its tail is written",
        f"{FILES}/_objects.py",
        """\
        draft.seal(rest, pack_tail(Record(key=key, size=size, info=info)), micros)
        path, name = self.place(key)
        write_id = info.write_id or ""
        created = False

        def attempt() -> None:
            nonlocal created
            with self.disk.folder(path, make=True) as folder:
                created = self._install(draft, folder, name, key, mode)
""",
        """\
        path, name = self.place(key)
        write_id = info.write_id or ""
        created = False

        def attempt() -> None:
            nonlocal created
            with self.disk.folder(path, make=True) as folder:
                created = self._install(draft, folder, name, key, mode)
                draft.seal(
                    rest, pack_tail(Record(key=key, size=size, info=info)), micros
                )
""",
        "backends/test_files_disk_faults.py::test_a_file_that_was_not_brought_to_the_disk_is_not_published",
    ),
    defect(
        "objects are opened through symlinks",
        f"{FILES}/_calls.py",
        "_READ: Final = os.O_RDONLY | os.O_NOFOLLOW |",
        "_READ: Final = os.O_RDONLY |",
        f"{FILES_GAPS}::test_a_symlink_to_a_sound_object_is_refused",
    ),
    defect(
        "folders are opened through symlinks",
        f"{FILES}/_calls.py",
        "_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW |",
        "_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY |",
        "backends/test_files_confinement.py::test_a_symlink_as_bucket_folder_is_refused",
    ),
    defect(
        "locks are opened through symlinks",
        f"{FILES}/_calls.py",
        "_LOCK: Final = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW |",
        "_LOCK: Final = os.O_RDWR | os.O_CREAT |",
        "backends/test_files_confinement.py::test_a_symlink_as_lock_is_not_opened",
    ),
    defect(
        "CREATE replaces what stands instead of linking",
        f"{FILES}/_objects.py",
        "                if mode is Write.CREATE:\n",
        "                if mode is None:\n",
        "backends/test_contract.py::TestFiles::test_create_needs_a_free_key",
    ),
    defect(
        "a touch does not compare the ETag",
        f"{FILES}/_objects.py",
        "            self._check_etag(key, etag)\n",
        "",
        f"{FILES_GAPS}::test_a_touch_is_of_the_object_that_was_seen",
    ),
    defect(
        "a conditional delete does not compare the ETag",
        f"{FILES}/_objects.py",
        "                if if_match is not None:\n                    self._check_etag(key, if_match)\n",
        "",
        "backends/test_contract.py::TestFiles::test_conditional_deletes",
    ),
    defect(
        "a sweep takes young drafts",
        f"{FILES}/_sweep.py",
        "if begun is not None and begun <= before:",
        "if begun is not None:",
        "backends/test_files_sweep.py::test_old_drafts_go_and_young_ones_stay",
    ),
    defect(
        "a cancelled call's result is not freed",
        f"{FILES}/_jobs.py",
        "if discard is not None and self.error is None:",
        "if discard is None and self.error is None:",
        "backends/test_files_pool.py::test_a_running_call_that_is_cancelled_is_waited_for",
    ),
    defect(
        "a record of another key is taken",
        f"{FILES}/_lookup.py",
        "if key is not None and record.key != key:",
        "if key is None and record.key != key:",
        "backends/test_files_hostile.py::test_the_record_of_another_key_is_damage",
    ),
    defect(
        "what is read in one step is not held against its digest",
        f"{FILES}/_one_step.py",
        "if found is None or not is_digest_of(digest, found.body):",
        "if found is None:",
        "stashes/test_one_step.py::test_a_flipped_bit_is_found",
    ),
    defect(
        "in one step the record of another key is taken",
        f"{FILES}/_lookup.py",
        "if plain is not None and plain.key == key:",
        "if plain is not None:",
        "stashes/test_one_step.py::test_a_file_under_another_name_is_no_stash",
    ),
    defect(
        "what is created in one step stands, whatever stood there",
        f"{FILES}/_one_step.py",
        "            return Named(digest, None)\n",
        "            return Named(digest, info.created)\n",
        "stashes/test_one_step.py::test_a_create_finds_what_others_put_in_its_place",
    ),
    defect(
        "a slow disk holds everybody up",
        f"{FILES}/_pool.py",
        "            if late >= self._patience:",
        "            if late >= 1000:",
        "backends/test_files_pool_patience.py::test_what_waits_is_done_when_a_call_takes_long",
    ),
    defect(
        "results wait for the slowest of their batch",
        f"{FILES}/_pool.py",
        "        return full or self._is_slow()\n",
        "        return full\n",
        "backends/test_files_pool_patience.py::test_what_is_done_is_told_while_its_neighbours_hang",
    ),
    defect(
        "a disk that was slow once is slow for ever",
        f"{FILES}/_pool.py",
        "return self._slow_until > 0 and monotonic() < self._slow_until",
        "return self._slow_until > 0",
        "backends/test_files_pool_patience.py::test_a_disk_counts_as_slow_for_a_while_only",
    ),
)
