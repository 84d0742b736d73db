"""The bank-marketing data of the demo: the public address, a synthetic twin, and the retraining pipeline's files.

The data: S. Moro, P. Cortez, P. Rita, 'A Data-Driven Approach to Predict the Success of Bank Telemarketing', UCI Machine
Learning Repository, CC BY 4.0. No row of it is in here: `twin.json` holds fitted, smoothed distributions (benchmarks/twin.py
fits them), from which `twin.write_twin` draws a table with the same columns, balance and difficulty.

A room of its own beside `services` and `local`: it knows neither, and only the command line hands it to the demo.
"""
