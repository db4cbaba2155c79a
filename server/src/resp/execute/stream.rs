//! Does `XADD` alone. Called by `execute`; a connection logs several together.

use super::Context;
use crate::resp::Reply;
use crate::resp::batch::Batch;
use crate::resp::command::StreamCommand;

pub(super) fn execute(command: &StreamCommand<'_>, context: &mut Context<'_, '_>) -> Reply {
    let mut batch = Batch::default();
    batch.add(command, 0, context.service);
    let answers = batch.log(context.service);
    if let Some(reader) = context.reader {
        reader.refresh(); // what follows sees the event
    }
    answers.into_iter().next_back().unwrap_or(Reply::Null)
}
