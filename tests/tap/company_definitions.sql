-- Tags and segments over the company.
SELECT cdp_tag_create('spend', 'sum(purchase.amount)');
SELECT cdp_tag_create('level', 'CASE WHEN spend > 500 THEN ''high'' ELSE ''low'' END');
SELECT * FROM cdp_tag_refresh(as_of => '2024-06-01 00:00+00') \g /dev/null
SELECT cdp_segment_create('active', 'count(view) > 3 AND vip', 'people of interest');
SELECT cdp_segment_freeze('third', (SELECT cdp_bitmap_build_agg(profile_id) FROM cdp_members(cdp_segment('true')) AS m(profile_id) WHERE profile_id % 3 = 0));
