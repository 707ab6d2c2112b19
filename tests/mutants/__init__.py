"""Mutation testing of the pure modules: which changes of the code do the unit tests notice?"""
