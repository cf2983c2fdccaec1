"""The ledger: which file versions exist, in which batch each one is, who works on it, and what the table has.

Scanner and executor write it; the API reads it. Every change of state is one guarded UPDATE (id, state and
fencing token in the WHERE) together with the event that tells of it, in one transaction.
"""
