//! A thread that works until it is told to stop. The flusher and the tailer run on one.

use std::io;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{Builder, JoinHandle};

/// A thread; dropping it tells it to stop and waits until it has.
pub(crate) struct Background {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    /// Starts one. Its work shall end once the receiver is disconnected.
    pub(crate) fn start(
        name: &str,
        work: impl FnOnce(&Receiver<()>) + Send + 'static,
    ) -> io::Result<Background> {
        let (stop, stopped) = mpsc::channel();
        let thread = Builder::new().name(name.to_owned());
        let thread = thread.spawn(move || work(&stopped))?;
        Ok(Background {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported by it; what it had not done is in the log.
            let _ = thread.join();
        }
    }
}
