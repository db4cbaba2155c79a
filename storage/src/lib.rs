//! keeps bytes, rows and files, and gives them back; no feature logic
