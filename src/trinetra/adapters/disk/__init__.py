"""Files in the data folder: journal, spool, audit trail, receipts and gallery archives."""
