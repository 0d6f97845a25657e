"""What the tests of the clients for Python share: unittest's results as TAP."""

import os
import unittest

KIND = os.environ['KIND']
MAP = KIND == 'map'


class Result(unittest.TestResult):
    """Prints a line a test, and why one failed."""

    def name(self, test):
        method = getattr(test, '_testMethodName', str(test))
        return '%s.%s' % (type(test).__name__, method)

    def startTest(self, test):
        super().startTest(test)
        self.bad = []

    def stopTest(self, test):
        super().stopTest(test)
        if self.bad is not None:
            print(('not ok - ' if self.bad else 'ok - ') + self.name(test))
            for text in self.bad:
                print('\n'.join('# ' + line for line in text.splitlines()), flush=True)

    def note(self, test, error):
        text = self._exc_info_to_string(error, test)
        if getattr(self, 'bad', None) is None:          # of a class or a module
            print('not ok - %s' % test)
            print('\n'.join('# ' + line for line in text.splitlines()), flush=True)
        else:
            self.bad.append(text)

    def addError(self, test, error):
        super().addError(test, error)
        self.note(test, error)

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self.note(test, error)

    def addSubTest(self, test, subtest, error):
        super().addSubTest(test, subtest, error)
        if error is not None:
            self.note(test, error)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        print('# skipped: %s: %s' % (self.name(test), reason), flush=True)
        self.bad = None


class Runner:
    """As unittest's runner of texts, with these results."""

    def __init__(self, **options):
        pass

    def run(self, suite):
        result = Result()
        suite.run(result)
        return result
