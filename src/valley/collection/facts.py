"""What there is to say about a finished collection, asked of its four tables with duckdb."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from valley.errors import MissingExtraError
from valley.manifest import TABLES, UNKNOWN_LICENCE, read_table, table_path
from valley.reporting.histogram import DURATION_EDGES_S

if TYPE_CHECKING:
    import duckdb

Row: TypeAlias = dict[str, Any]


class Facts:
    """Questions to the tables of one collection."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def rows(self, question: str) -> list[Row]:
        """Ask in SQL."""
        answer = self._connection.execute(question)
        names = [column[0] for column in answer.description or ()]
        return [dict(zip(names, values, strict=True)) for values in answer.fetchall()]

    def totals(self) -> Row:
        """Count everything."""
        return self.rows("""
            SELECT (SELECT count(*) FROM media) AS media,
                (SELECT count(*) FROM media WHERE kind = 'image') AS pictures,
                (SELECT coalesce(sum(duration_s), 0) FROM media) AS duration_s,
                (SELECT coalesce(sum(size_bytes), 0) FROM media) AS size_bytes,
                (SELECT count(*) FROM clip WHERE level = 'stretch') AS stretches,
                (SELECT count(*) FROM clip WHERE level = 'shot') AS shots,
                (SELECT count(*) FROM text WHERE kept) AS kept,
                (SELECT count(*) FROM text WHERE NOT kept) AS refused,
                (SELECT count(*) FROM quarantine) AS quarantined,
                (SELECT epoch_us(min(collected_at)) FROM media) AS collected_at_us,
                (SELECT min(tool_versions) FROM media) AS tool_versions
        """)[0]

    def sources(self) -> list[Row]:
        """Count by source."""
        return self.rows("""
            SELECT source, count(media) AS media, coalesce(sum(duration_s), 0) AS duration_s,
                coalesce(sum(size_bytes), 0) AS size_bytes, count(stretch) AS stretches, count(shot) AS shots,
                count(kept) AS kept, count(refused) AS refused, count(quarantined) AS quarantined
            FROM (
                SELECT source, 1 AS media, duration_s, size_bytes FROM media
                UNION ALL BY NAME SELECT source, CASE level WHEN 'stretch' THEN 1 END AS stretch,
                    CASE level WHEN 'shot' THEN 1 END AS shot FROM clip JOIN media USING (media_id)
                UNION ALL BY NAME
                    SELECT source, nullif(kept, false) AS kept, nullif(NOT kept, false) AS refused FROM text
                UNION ALL BY NAME SELECT source, 1 AS quarantined FROM quarantine
            ) GROUP BY source ORDER BY source
        """)

    def quarantine(self) -> list[Row]:
        """Count by stage and reason, with the numbers and an example."""
        return self.rows("""
            SELECT stage, reason, count(*) AS count, max(attempts) AS attempts, min(number) AS least,
                median(number) AS middle, max(number) AS most,
                arg_min(place, (key, place)) AS place, arg_min(detail, (key, place)) AS detail
            FROM quarantine GROUP BY stage, reason ORDER BY count DESC, stage, reason
        """)

    def refusals(self) -> list[Row]:
        """Count refused words by reason, with the numbers and an example."""
        return self.rows("""
            SELECT coalesce(reason, '') AS reason, count(*) AS count, min(number) AS least,
                median(number) AS middle, max(number) AS most, arg_min(text, text_id) AS example,
                arg_min(language, text_id) AS language
            FROM text WHERE NOT kept GROUP BY reason ORDER BY count DESC, reason
        """)

    def languages(self) -> list[Row]:
        """Count words by language."""
        return self.rows("""
            SELECT language, count(*) FILTER (kept) AS kept, count(*) FILTER (NOT kept) AS refused,
                avg(language_score) AS score
            FROM text GROUP BY language ORDER BY kept DESC, refused DESC, language
        """)

    def licences(self) -> list[Row]:
        """Count by licence and by where it is written; those that nobody said come first."""
        return self.rows(f"""
            SELECT licence, licence_evidence AS evidence, count(*) AS media,
                coalesce(sum(duration_s), 0) AS duration_s, coalesce(sum(kept), 0)::BIGINT AS kept
            FROM media LEFT JOIN
                (SELECT media_id, count(*) AS kept FROM text WHERE kept GROUP BY media_id) USING (media_id)
            GROUP BY licence, evidence
            ORDER BY CASE licence WHEN '{UNKNOWN_LICENCE}' THEN 0 ELSE 1 END, media DESC, licence, evidence
        """)

    def splits(self) -> list[Row]:
        """Count by split."""
        return self.rows("""
            SELECT split, count(DISTINCT media_id) AS media, count(*) FILTER (level = 'stretch') AS stretches,
                count(*) FILTER (level = 'shot') AS shots
            FROM clip GROUP BY split ORDER BY media DESC, split
        """)

    def resolutions(self) -> list[Row]:
        """Count by size of the picture, as it is shown."""
        return self.rows("""
            SELECT width_px, height_px, count(*) AS media, coalesce(sum(duration_s), 0) AS duration_s
            FROM media GROUP BY ALL ORDER BY media DESC, height_px DESC NULLS LAST, width_px DESC
        """)

    def durations(self) -> dict[str, Row]:
        """Count lengths of media, named stretches and shots in bins, with least, middle and most."""
        of = {
            "media": "SELECT duration_s AS s FROM media WHERE kind = 'video' AND duration_s IS NOT NULL",
            "stretches": "SELECT (end_us - start_us) / 1e6 AS s FROM clip JOIN media USING (media_id)"
            " WHERE level = 'stretch' AND kind = 'video'",
            "shots": "SELECT (end_us - start_us) / 1e6 AS s FROM clip WHERE level = 'shot'",
        }
        return {name: self._lengths(lengths) for name, lengths in of.items()}

    def _lengths(self, lengths: str) -> Row:
        ends = [*DURATION_EDGES_S[1:], 1e18]
        counts = ", ".join(
            f"count(*) FILTER (s >= {begin} AND s < {end})"
            for begin, end in zip(DURATION_EDGES_S, ends, strict=True)
        )
        return self.rows(f"""
            SELECT count(*) AS count, min(s) AS least, median(s) AS middle, max(s) AS most,
                [{counts}] AS bins FROM ({lengths})
        """)[0]

    def kept_words(self, most: int) -> list[Row]:
        """Give kept words: from every language in turn, chosen by their ids."""
        return self._words("kept", "language", most)

    def refused_words(self, most: int) -> list[Row]:
        """Give refused words: of every reason in turn, chosen by their ids."""
        return self._words("NOT kept", "reason", most)

    def _words(self, which: str, group: str, most: int) -> list[Row]:
        # First the ids alone, then the few rows: ten million captions need not be carried about.
        return self.rows(f"""
            SELECT text.*, media.kind AS media_kind FROM (
                SELECT text_id, row_number() OVER (PARTITION BY {group} ORDER BY text_id) AS turn
                FROM text WHERE {which} ORDER BY turn, {group}, text_id LIMIT {most}
            ) AS chosen JOIN text USING (text_id) LEFT JOIN media USING (media_id)
            WHERE {which} ORDER BY turn, {group}, text_id
        """)


@contextmanager
def open_facts(corpus: Path) -> Iterator[Facts]:
    """Open the tables of a collection for questions.

    Raises:
        MissingExtraError: duckdb or pyarrow is absent.
        ConfigError: the folder is no finished collection.
    """
    try:
        import duckdb
    except ImportError as error:
        raise MissingExtraError(wanted_by="a report", package="duckdb", extra="data") from error
    for table in TABLES:
        read_table(corpus, table, columns=[])  # says whether it is there, and of our version
    # What is needed is built in: it shall never look for more on the network.
    settings = dict.fromkeys(("autoinstall_known_extensions", "autoload_known_extensions"), False)
    with tempfile.TemporaryDirectory() as spill, duckdb.connect(config={**settings}) as connection:
        connection.execute("SET temp_directory = ?", [spill])
        for table in TABLES:
            connection.read_parquet(str(table_path(corpus, table))).create_view(table)
        yield Facts(connection)
