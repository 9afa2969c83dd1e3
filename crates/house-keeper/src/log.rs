//! Log lines about jobs.

/// A log line about a job, with the fields by which a journal is searched: `BATCH`, `JOB`, `ROUND`, `CIRCUIT`.
///
/// ```
/// # let key: ingot_types::JobKey = "1/2/prove/0/3/0/4".parse().unwrap();
/// ingot_house_keeper::job_log!(info, key, "handed back: {}", "stopping");
/// ```
#[macro_export]
macro_rules! job_log {
    ($level:ident, $key:expr, $($message:tt)+) => {{
        let key: ::ingot_types::JobKey = $key;
        ::tracing::$level!(
            BATCH = key.batch.batch.0,
            JOB = %key,
            ROUND = key.round as u8,
            CIRCUIT = key.circuit_id.0,
            $($message)+
        )
    }};
}
