SELECT p.tier, count(*) AS people, sum(p.spent) AS spent, count(m.profile_id) AS keen
FROM {{ source('cdp', 'profiles') }} p
LEFT JOIN {{ source('cdp', 'segment_members') }} m ON m.profile_id = p.profile_id AND m.segment = 'keen'
GROUP BY 1
