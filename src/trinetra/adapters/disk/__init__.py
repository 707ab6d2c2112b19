"""Files in the data folder: journal, spool, audit log, receipts and gallery archives."""
