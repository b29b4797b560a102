{{ config(materialized='incremental', unique_key='event_id') }}
SELECT e.event_id, e.profile_id, e.at, e.properties ->> 'page' AS page, now() AS taken
FROM {{ source('cdp', 'events') }} e
{% if is_incremental() %} WHERE e.at > (SELECT max(at) FROM {{ this }}) {% endif %}
