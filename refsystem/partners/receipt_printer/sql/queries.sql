-- What a printer asks of its paper.

-- name: load_roll(paper_lines)!
INSERT OR IGNORE INTO condition (one, paper_lines, jammed, cover_open) VALUES (1, :paper_lines, 0, 0);

-- name: condition()^
SELECT paper_lines, jammed, cover_open FROM condition;

-- name: set_condition(paper_lines, jammed, cover_open)!
UPDATE condition SET paper_lines = :paper_lines, jammed = :jammed, cover_open = :cover_open;

-- name: last_slip()^
SELECT coalesce(max(slip), 0), (SELECT count(*) FROM slips WHERE cut_at_us IS NULL) = 0 FROM slips;

-- name: open_slip(slip, at_us)!
INSERT OR IGNORE INTO slips (slip, opened_at_us) VALUES (:slip, :at_us);

-- name: insert_line(slip, text, emphasized, height, code)!
INSERT INTO lines (slip, text, emphasized, height, code) VALUES (:slip, :text, :emphasized, :height, :code);

-- name: close_slip(slip, at_us)!
UPDATE slips SET cut_at_us = :at_us WHERE slip = :slip;

-- name: slips(after, limit)
SELECT slip, opened_at_us, cut_at_us FROM slips WHERE slip > :after ORDER BY slip LIMIT :limit;

-- name: lines(from_slip, to_slip)
SELECT slip, text, emphasized, height, code FROM lines WHERE slip BETWEEN :from_slip AND :to_slip ORDER BY line;

-- name: records()
SELECT key, data FROM records;

-- name: put_record(key, data)!
INSERT INTO records (key, data) VALUES (:key, :data) ON CONFLICT (key) DO UPDATE SET data = excluded.data;
