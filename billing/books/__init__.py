"""What staff read of the books: lists and sums of the ledger, of what is owed, of charges that failed, and of what comes in
by the month. All of it is computed when it is asked for; nothing here changes a row.
"""
