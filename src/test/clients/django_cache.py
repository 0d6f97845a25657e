"""Django's DatabaseCache: Django's own tests of it, and what several do at once.

usage: django_cache.py TESTS
TESTS is the folder "tests" of Django's source.
"""

import os
import sys
import threading
import time
from unittest import TestSuite, defaultTestLoader

import tap
import django
from django.conf import settings

sys.path.insert(0, sys.argv[1])
database = {'ENGINE': 'django.db.backends.postgresql', 'HOST': os.environ['PGHOST'], 'USER': os.environ['PGUSER']}
settings.configure(
    DATABASES={
        'default': dict(database, NAME=os.environ['PGDATABASE']),
        'other': dict(database, NAME=os.environ['PGDATABASE'] + '_other'),
    },
    CACHES={
        'default': {'BACKEND': 'django.core.cache.backends.db.DatabaseCache', 'LOCATION': 'ours'},
        'small': {'BACKEND': 'django.core.cache.backends.db.DatabaseCache', 'LOCATION': 'small',
                  'OPTIONS': {'MAX_ENTRIES': 30, 'CULL_FREQUENCY': 3}},
    },
    INSTALLED_APPS=['cache'],
    DEFAULT_AUTO_FIELD='django.db.models.AutoField',
    SECRET_KEY='secret',
)
# as settings in a module do
os.environ['TZ'] = settings.TIME_ZONE
time.tzset()
django.setup()

from django.core import management                                 # noqa: E402
from django.core.cache import cache, caches                        # noqa: E402
from django.db import connection, connections, transaction         # noqa: E402
from django.test import TransactionTestCase, override_settings     # noqa: E402
from django.test.runner import DiscoverRunner                      # noqa: E402
from cache import tests                                            # noqa: E402

DEFINITION = open(os.path.join(os.path.dirname(__file__), 'maps/django.sql')).read()


def create(name):
    """The table, as Django makes it, or the map in its place."""
    if tap.MAP:
        with connection.cursor() as cursor:
            cursor.execute(DEFINITION.replace('django_cache', connection.ops.quote_name(name)))
    management.call_command('createcachetable', name, verbosity=0)


def drop(name):
    with connection.cursor() as cursor:
        cursor.execute("SELECT relkind FROM pg_class WHERE relname = %s", [name])
        kind = {'f': 'FOREIGN TABLE', 'r': 'TABLE'}[cursor.fetchone()[0]]
        cursor.execute('DROP %s %s' % (kind, connection.ops.quote_name(name)))


# ---- Django's own, which make and drop their table by themselves --------------

class OnTheirTable:
    def create_table(self):
        create('test cache table')

    def drop_table(self):
        drop('test cache table')

    def test_touch(self):
        """Begins with a second.

        Django cuts off its fraction, so that a timeout of 1 may be over at once.  A table's row is
        touched all the same; on a map there is none any more.
        """
        time.sleep(1 - time.time() % 1)
        super().test_touch()


class DBCacheTests(OnTheirTable, tests.DBCacheTests):
    pass


class DBCacheWithTimeZoneTests(OnTheirTable, tests.DBCacheWithTimeZoneTests):
    pass


class CreateCacheTableForDBCacheTests(tests.CreateCacheTableForDBCacheTests):
    pass


# ---- ours: what theirs leave out ----------------------------------------------

class Ours(TransactionTestCase):
    available_apps = ['cache']

    def setUp(self):
        create('ours')
        create('small')

    def tearDown(self):
        drop('ours')
        drop('small')

    def stored(self, table='ours'):
        with connection.cursor() as cursor:
            cursor.execute('SELECT count(*) FROM %s' % table)
            return cursor.fetchone()[0]

    def at_once(self, threads, run):
        """run(i) in as many threads, each with its own connection; what went wrong there goes wrong here."""
        errors = []

        def one(i):
            try:
                run(i)
            except Exception as error:
                errors.append(error)
            finally:
                connections.close_all()

        started = [threading.Thread(target=one, args=(i,)) for i in range(threads)]
        for thread in started:
            thread.start()
        for thread in started:
            thread.join()
        if errors:
            raise errors[0]

    def test_is_what_it_should_be(self):
        with connection.cursor() as cursor:
            cursor.execute("SELECT relkind FROM pg_class WHERE relname = 'ours'")
            self.assertEqual(cursor.fetchone()[0], 'f' if tap.MAP else 'r')

    def test_expires(self):
        cache.set('a', 1, timeout=3)
        cache.set('b', 2, timeout=60)
        self.assertEqual(cache.get_many(['a', 'b']), {'a': 1, 'b': 2})
        time.sleep(4.1)
        self.assertEqual(cache.get_many(['a', 'b']), {'b': 2})
        self.assertFalse('a' in cache)
        self.assertFalse(cache.touch('nothing'))
        self.assertTrue(cache.add('a', 3))
        self.assertEqual(cache.get('a'), 3)

    def test_set_when_past(self):
        for before in (True, False):
            for timeout in (0, -60):
                if before:
                    cache.set('a', 1)
                self.assertTrue(cache.set('a', 2, timeout=timeout) is None)
                self.assertIsNone(cache.get('a'))

    def test_touch_into_the_past(self):
        cache.set('a', 1)
        self.assertTrue(cache.touch('a', -60))
        self.assertIsNone(cache.get('a'))

    def test_never_expires(self):
        cache.set('a', 1, timeout=None)
        with connection.cursor() as cursor:
            cursor.execute('SELECT expires::text FROM ours')
            self.assertTrue(cursor.fetchone()[0].startswith('9999-12-31'))
        self.assertEqual(cache.get('a'), 1)
        cache.touch('a', 60)
        cache.touch('a', None)
        self.assertEqual(cache.get('a'), 1)

    @override_settings(USE_TZ=True, TIME_ZONE='America/Los_Angeles')
    def test_time_zone(self):
        cache.set('a', 1, timeout=3)
        self.assertEqual(cache.get('a'), 1)
        self.assertTrue(cache.has_key('a'))
        time.sleep(4.1)
        self.assertIsNone(cache.get('a'))

    @override_settings(USE_TZ=False, TIME_ZONE='Asia/Tokyo')
    def test_local_time(self):
        cache.set('a', 1, timeout=3)
        self.assertEqual(cache.get('a'), 1)
        time.sleep(4.1)
        self.assertIsNone(cache.get('a'))

    def test_culls(self):
        small = caches['small']
        for i in range(200):
            small.set('key%d' % i, i)
        self.assertLessEqual(self.stored('small'), 31)
        self.assertEqual(small.get('key199'), 199)

    def test_culls_what_has_expired_first(self):
        small = caches['small']
        for i in range(31):
            small.set('old%d' % i, i, timeout=-1)
        for i in range(10):
            small.set('key%d' % i, i)
        self.assertEqual(len(small.get_many(['key%d' % i for i in range(10)])), 10)

    def test_clear(self):
        cache.set_many({'a': 1, 'b': 2})
        cache.clear()
        self.assertEqual(self.stored(), 0)

    def test_in_a_transaction(self):
        with transaction.atomic():
            cache.set('a', 1)
            self.assertEqual(cache.get('a'), 1)
            with transaction.atomic():
                cache.set('a', 2)
                self.assertTrue(cache.add('b', 3))
                self.assertFalse(cache.add('b', 4))
        self.assertEqual(cache.get_many(['a', 'b']), {'a': 2, 'b': 3})

    def test_in_a_transaction_that_is_rolled_back(self):
        """On a map what was set stays: that is what is documented."""
        try:
            with transaction.atomic():
                cache.set('a', 1)
                raise KeyError
        except KeyError:
            pass
        self.assertEqual(cache.get('a'), 1 if tap.MAP else None)

    def test_many_at_once(self):
        def run(i):
            for j in range(20):
                cache.set('key-%d-%d' % (i, j), [i, j])

        self.at_once(8, run)
        for i in range(8):
            for j in range(20):
                self.assertEqual(cache.get('key-%d-%d' % (i, j)), [i, j])

    def test_one_key_at_once(self):
        def run(i):
            for j in range(20):
                cache.set('a', 'x%d' % i * 1000)
                got = cache.get('a')
                if got is not None and got != got[:2] * 1000:
                    raise AssertionError('torn')

        self.at_once(8, run)
        self.assertIsNotNone(cache.get('a'))

    def test_add_lets_one_through(self):
        won = []

        def run(i):
            for j in range(20):
                if cache.add('lock%d' % j, i):
                    won.append(j)

        self.at_once(8, run)
        self.assertEqual(sorted(won), list(range(20)))

    def test_deletes_and_sets_at_once(self):
        def run(i):
            for j in range(20):
                if i % 2:
                    cache.delete('a')
                else:
                    cache.set('a', i)

        self.at_once(6, run)
        cache.set('a', 'last')
        self.assertEqual(cache.get('a'), 'last')


# ---- the run -------------------------------------------------------------------

runner = DiscoverRunner(verbosity=0, interactive=False)
runner.setup_test_environment()
old = runner.setup_databases()
for name in ('ours', 'small'):          # which the runner has made
    drop(name)
if tap.MAP:
    with connection.cursor() as cursor:
        cursor.execute('CREATE EXTENSION IF NOT EXISTS syncmap')
result = tap.Runner().run(TestSuite(defaultTestLoader.loadTestsFromTestCase(case) for case in (
    DBCacheTests, DBCacheWithTimeZoneTests, CreateCacheTableForDBCacheTests, Ours)))
runner.teardown_databases(old)
sys.exit(not result.wasSuccessful())
