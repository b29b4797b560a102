-- How many times faster: the plain SQL's median over the slower of the two functions' medians.
CREATE TEMP VIEW ratio AS
SELECT n, bench.median(plain_ms) / greatest(bench.median(count_ms), bench.median(segment_ms)) AS ratio FROM bench.result;
