//! Does `XADD` alone. Called by `execute`; a connection logs several together.

use crate::resp::Reply;
use crate::resp::batch::Batch;
use crate::resp::command::StreamCommand;
use crate::service::Service;

pub(super) fn execute(command: &StreamCommand<'_>, service: &Service) -> Reply {
    let mut batch = Batch::default();
    batch.add(command, 0, service);
    batch.log(service).pop().unwrap_or(Reply::Null)
}
