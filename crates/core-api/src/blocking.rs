//! Work that would hold up other requests.

use crate::Problem;

/// Runs what waits for disks, sockets or processors on a thread for such things. A panic is an answer like any other.
///
/// # Errors
/// Those of `work`; 500 if it panicked.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Problem::internal(format!("it failed: {error}"))),
    }
}
