//! Directives without effect, accepted so that an old configuration loads.

use super::line::{Line, obsolete};
use crate::ffi::conf::Contexts;

const UNION_STATION: &str = "Union Station no longer exists";
const GLOBAL_QUEUE: &str = "there is one queue for each application, always";
const HASH: &str = "the table of headers grows as needed";
const EVERYWHERE: Contexts = Contexts::EVERYWHERE;
const HTTP: Contexts = Contexts::HTTP;

pub(super) const TABLE: &[Line] = &[
    obsolete(c"passenger_headers_hash_max_size", EVERYWHERE, HASH),
    obsolete(c"passenger_headers_hash_bucket_size", EVERYWHERE, HASH),
    obsolete(
        c"rails_framework_spawner_idle_time",
        EVERYWHERE,
        "use passenger_max_preloader_idle_time instead",
    ),
    obsolete(c"passenger_use_global_queue", EVERYWHERE, GLOBAL_QUEUE),
    obsolete(c"passenger_analytics_log_user", HTTP, UNION_STATION),
    obsolete(c"passenger_analytics_log_group", HTTP, UNION_STATION),
    obsolete(c"union_station_gateway_address", HTTP, UNION_STATION),
    obsolete(c"union_station_gateway_port", HTTP, UNION_STATION),
    obsolete(c"union_station_gateway_cert", HTTP, UNION_STATION),
    obsolete(c"union_station_proxy_address", HTTP, UNION_STATION),
    obsolete(c"union_station_key", EVERYWHERE, UNION_STATION),
    obsolete(c"union_station_support", EVERYWHERE, UNION_STATION),
    obsolete(c"union_station_filter", EVERYWHERE, UNION_STATION),
];
