"""SQLAlchemy: what its documentation shows of reading and writing with the ORM and without."""

import datetime
import decimal
import os
import sys
import threading
import time
import unittest
import uuid

import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID, insert
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.orm.exc import StaleDataError

import tap

engine = sa.create_engine('postgresql+psycopg2://', pool_size=10, future=True, connect_args={
    'host': os.environ['PGHOST'], 'user': os.environ['PGUSER'], 'dbname': os.environ['PGDATABASE']})
Base = orm.declarative_base()


class Profile(Base):
    __tablename__ = 'profiles'
    name = sa.Column(sa.String(50), primary_key=True)
    visits = sa.Column(sa.Integer, nullable=False, server_default='0')
    balance = sa.Column(sa.Numeric(12, 2))
    active = sa.Column(sa.Boolean, nullable=False, default=True)
    tags = sa.Column(ARRAY(sa.Text))
    settings = sa.Column(JSONB)
    picture = sa.Column(sa.LargeBinary)
    token = sa.Column(UUID(as_uuid=True))
    seen = sa.Column(sa.DateTime(timezone=True))
    version = sa.Column(sa.Integer, nullable=False)
    expires = sa.Column(sa.DateTime(timezone=True))
    __mapper_args__ = {'version_id_col': version, 'eager_defaults': True}


class Order(Base):
    """A table beside it, in either case."""
    __tablename__ = 'orders'
    id = sa.Column(sa.Integer, primary_key=True)
    name = sa.Column(sa.String(50))
    amount = sa.Column(sa.Integer)
    profile = orm.relationship(Profile, primaryjoin=orm.foreign(name) == Profile.name, backref='orders')


profiles = Profile.__table__
now = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=123456)


def row(name, **values):
    return dict({'name': name, 'active': True, 'version': 1}, **values)


class SQLAlchemy(unittest.TestCase):
    def setUp(self):
        Base.metadata.create_all(engine)
        with engine.begin() as connection:
            connection.execute(sa.delete(Order))
            connection.execute(sa.delete(Profile))
        self.session = orm.Session(engine, future=True)

    def tearDown(self):
        self.session.close()

    def all(self):
        with engine.connect() as connection:
            return dict(connection.execute(sa.select(profiles.c.name, profiles.c.visits)).all())

    def fill(self, *names, **values):
        with engine.begin() as connection:
            connection.execute(sa.insert(profiles), [row(name, visits=i, **values) for i, name in enumerate(names)])

    def at_once(self, threads, run):
        errors = []

        def one(i):
            try:
                run(i)
            except Exception as error:
                errors.append(error)

        started = [threading.Thread(target=one, args=(i,)) for i in range(threads)]
        for thread in started:
            thread.start()
        for thread in started:
            thread.join()
        if errors:
            raise errors[0]

    # ---- definitions

    def test_create_all_finds_it(self):
        with engine.connect() as connection:
            kind = connection.execute(sa.text("SELECT relkind FROM pg_class WHERE relname = 'profiles'")).scalar()
        self.assertEqual(kind, 'f' if tap.MAP else 'r')

    def test_inspection(self):
        inspector = sa.inspect(engine)
        self.assertTrue(inspector.has_table('profiles'))
        columns = inspector.get_columns('profiles')
        self.assertEqual([c['name'] for c in columns], [c.name for c in profiles.columns])
        self.assertEqual([c['type'].compile(engine.dialect) for c in columns], [c.type.compile(engine.dialect) for c in profiles.columns])
        self.assertEqual({c['name']: c['nullable'] for c in columns}['visits'], False)

    def test_reflection(self):
        reflected = sa.Table('profiles', sa.MetaData(), sa.Column('name', sa.String(50), primary_key=True), autoload_with=engine)
        self.fill('a')
        with engine.connect() as connection:
            self.assertEqual(connection.execute(sa.select(reflected.c.visits)).all(), [(0,)])

    # ---- the ORM

    def test_add_get(self):
        values = dict(visits=3, balance=decimal.Decimal('12.50'), active=False, tags=['a', "b'", None], settings={'x': [1, None]},
                      picture=b'\0\xff' * 100, token=uuid.uuid4(), seen=now)
        self.session.add(Profile(name='a', **values))
        self.session.commit()
        self.session.expire_all()
        found = self.session.get(Profile, 'a')
        for key, value in values.items():
            self.assertEqual(getattr(found, key), value)
        self.assertEqual(found.version, 1)
        self.assertIsNone(found.expires)
        self.assertIsNone(self.session.get(Profile, 'nobody'))

    def test_server_defaults_come_back(self):
        profile = Profile(name='a')
        self.session.add(profile)
        self.session.flush()
        self.assertEqual(profile.visits, 0)

    def test_nulls(self):
        self.session.add(Profile(name='a', tags=['x'], settings={}, seen=now))
        self.session.commit()
        profile = self.session.get(Profile, 'a')
        profile.tags = profile.seen = None
        profile.settings = sa.null()
        self.session.commit()
        self.session.expire_all()
        self.assertEqual((profile.tags, profile.seen, profile.settings), (None, None, None))

    def test_change_one_attribute(self):
        self.session.add(Profile(name='a', visits=1, tags=['x']))
        self.session.commit()
        profile = self.session.get(Profile, 'a')
        profile.visits = Profile.visits + 5
        self.session.commit()
        self.assertEqual((profile.visits, profile.tags, profile.version), (6, ['x'], 2))

    def test_stale_data_is_noticed(self):
        self.session.add(Profile(name='a'))
        self.session.commit()
        profile = self.session.get(Profile, 'a')
        with orm.Session(engine, future=True) as other:
            other.get(Profile, 'a').visits = 7
            other.commit()
        profile.visits = 8
        with self.assertRaises(StaleDataError):
            self.session.flush()
        self.session.rollback()
        self.assertEqual(self.all(), {'a': 7})

    def test_delete(self):
        self.session.add_all([Profile(name='a'), Profile(name='b')])
        self.session.commit()
        self.session.delete(self.session.get(Profile, 'a'))
        self.session.commit()
        self.assertEqual(self.all(), {'b': 0})

    def test_merge(self):
        self.session.merge(Profile(name='a', visits=1))
        self.session.commit()
        self.session.merge(Profile(name='a', visits=2))
        self.session.commit()
        self.assertEqual(self.all(), {'a': 2})

    def test_change_the_key(self):
        self.session.add(Profile(name='a', visits=5))
        self.session.commit()
        self.session.get(Profile, 'a').name = 'b'
        self.session.commit()
        self.assertEqual(self.all(), {'b': 5})

    def test_many(self):
        self.session.add_all([Profile(name='p%04d' % i, visits=i) for i in range(1000)])
        self.session.commit()
        for profile in self.session.execute(sa.select(Profile)).scalars():
            profile.visits += 1
        self.session.commit()
        self.assertEqual(sum(self.all().values()), sum(range(1, 1001)))

    def test_bulk(self):
        self.session.bulk_save_objects([Profile(name='p%d' % i, visits=i) for i in range(100)])
        self.session.bulk_insert_mappings(Profile, [row('q%d' % i) for i in range(100)])
        self.session.commit()
        self.assertEqual(len(self.all()), 200)

    def test_relationship(self):
        self.session.add_all([Profile(name='a', visits=1), Profile(name='b'), Order(name='a', amount=5), Order(name='a', amount=7)])
        self.session.commit()
        self.session.expire_all()
        profile = self.session.get(Profile, 'a')
        self.assertEqual(sorted(o.amount for o in profile.orders), [5, 7])
        self.assertEqual(profile.orders[0].profile.visits, 1)
        for load in (orm.joinedload, orm.selectinload, orm.subqueryload):
            self.session.expire_all()
            found = self.session.execute(sa.select(Order).options(load(Order.profile))).scalars().unique().all()
            self.assertEqual([o.profile.name for o in found], ['a', 'a'])

    # ---- queries

    def test_where(self):
        self.fill('a', 'ab', 'b', 'c_d')

        def names(*conditions):
            with engine.connect() as connection:
                return sorted(connection.execute(sa.select(profiles.c.name).where(*conditions)).scalars())

        name, visits = profiles.c.name, profiles.c.visits
        self.assertEqual(names(name == 'ab'), ['ab'])
        self.assertEqual(names(name.in_(['a', 'b', 'x'])), ['a', 'b'])
        self.assertEqual(names(name.in_([])), [])
        self.assertEqual(names(name != 'a'), ['ab', 'b', 'c_d'])
        self.assertEqual(names(name.like('a%')), ['a', 'ab'])
        self.assertEqual(names(name.startswith('c_', autoescape=True)), ['c_d'])
        self.assertEqual(names(name.ilike('A%')), ['a', 'ab'])
        self.assertEqual(names(name > 'ab'), ['b', 'c_d'])
        self.assertEqual(names(name.between('a', 'b')), ['a', 'ab', 'b'])
        self.assertEqual(names(visits >= 2), ['b', 'c_d'])
        self.assertEqual(names((name == 'a') & (visits == 0)), ['a'])
        self.assertEqual(names((name == 'a') & (visits == 1)), [])
        self.assertEqual(names(profiles.c.seen.is_(None)), ['a', 'ab', 'b', 'c_d'])
        self.assertEqual(names(sa.exists().where(profiles.c.name == 'nobody')), [])

    def test_order_limit_offset(self):
        self.fill(*['p%02d' % i for i in range(30)])
        with engine.connect() as connection:
            page = sa.select(profiles.c.name).order_by(profiles.c.name).limit(5)
            self.assertEqual(connection.execute(page.offset(10)).scalars().all(), ['p%02d' % i for i in range(10, 15)])
            page = sa.select(profiles.c.name).order_by(profiles.c.visits.desc()).limit(2)
            self.assertEqual(connection.execute(page).scalars().all(), ['p29', 'p28'])

    def test_aggregates(self):
        self.fill(*['p%02d' % i for i in range(10)])
        with engine.connect() as connection:
            got = connection.execute(sa.select(sa.func.count(), sa.func.sum(profiles.c.visits), sa.func.max(profiles.c.name)).select_from(profiles)).one()
            self.assertEqual(tuple(got), (10, 45, 'p09'))
            got = connection.execute(sa.select(profiles.c.visits % 2, sa.func.count()).group_by(sa.text('1')).order_by(sa.text('1'))).all()
            self.assertEqual(got, [(0, 5), (1, 5)])

    def test_json_and_arrays(self):
        self.fill('a', settings={'theme': 'dark', 'n': 5}, tags=['x', 'y'])
        with engine.connect() as connection:
            got = connection.execute(sa.select(profiles.c.settings['theme'].astext, profiles.c.tags[2])).one()
            self.assertEqual(tuple(got), ('dark', 'y'))
            self.assertEqual(connection.execute(sa.select(profiles.c.name).where(profiles.c.settings.contains({'n': 5}))).scalars().all(), ['a'])

    def test_stream(self):
        self.fill(*['p%04d' % i for i in range(2000)])
        with engine.connect() as connection:
            result = connection.execution_options(stream_results=True, max_row_buffer=100).execute(sa.select(profiles.c.name))
            self.assertEqual(len(set(result.scalars())), 2000)

    # ---- statements

    def test_insert_returning(self):
        with engine.begin() as connection:
            got = connection.execute(sa.insert(profiles).returning(profiles.c.name, profiles.c.visits).values([row('a'), row('b')])).all()
        self.assertEqual(got, [('a', 0), ('b', 0)])

    def test_update_returning_and_counts(self):
        self.fill('a', 'b', 'c')
        with engine.begin() as connection:
            result = connection.execute(sa.update(profiles).where(profiles.c.name.in_(['a', 'b', 'x'])).values(visits=profiles.c.visits + 10))
            self.assertEqual(result.rowcount, 2)
            got = connection.execute(sa.update(profiles).where(profiles.c.name == 'c').values(visits=7)
                                     .returning(profiles.c.visits, profiles.c.active)).all()
            self.assertEqual(got, [(7, True)])
            self.assertEqual(connection.execute(sa.delete(profiles).where(profiles.c.visits == 10)).rowcount, 1)
            self.assertEqual(connection.execute(sa.delete(profiles).where(profiles.c.name == 'nobody')).rowcount, 0)
        self.assertEqual(self.all(), {'b': 11, 'c': 7})

    def test_update_from_a_table(self):
        self.fill('a', 'b')
        self.session.add_all([Order(name='a', amount=5), Order(name='b', amount=7)])
        self.session.commit()
        with engine.begin() as connection:
            connection.execute(sa.update(profiles).where(profiles.c.name == Order.name).values(visits=Order.amount))
        self.assertEqual(self.all(), {'a': 5, 'b': 7})

    def test_insert_from_select(self):
        self.session.add_all([Order(name='a', amount=5), Order(name='b', amount=7)])
        self.session.commit()
        with engine.begin() as connection:
            select = sa.select(Order.name, Order.amount, sa.true(), sa.literal(1))
            connection.execute(sa.insert(profiles).from_select(['name', 'visits', 'active', 'version'], select))
        self.assertEqual(self.all(), {'a': 5, 'b': 7})

    def test_upsert(self):
        statement = insert(profiles).values(row('a', visits=1))
        statement = statement.on_conflict_do_update(index_elements=['name'], set_={'visits': profiles.c.visits + statement.excluded.visits}) \
            .returning(profiles.c.visits)
        with engine.begin() as connection:
            for i in range(1, 4):
                self.assertEqual(connection.execute(statement).scalar(), i)

    def test_upsert_of_many(self):
        self.fill('a', 'b')
        statement = insert(profiles).values([row(name, visits=9) for name in 'bcd'])
        statement = statement.on_conflict_do_update(index_elements=[profiles.c.name], set_=dict(visits=statement.excluded.visits))
        with engine.begin() as connection:
            self.assertEqual(connection.execute(statement).rowcount, 3)
        self.assertEqual(self.all(), {'a': 0, 'b': 9, 'c': 9, 'd': 9})

    def test_upsert_where(self):
        self.fill('a', 'b')
        statement = insert(profiles).values([row('a', visits=9), row('b', visits=9)])
        statement = statement.on_conflict_do_update(index_elements=['name'], set_={'visits': 9}, where=profiles.c.visits > 0)
        with engine.begin() as connection:
            self.assertEqual(connection.execute(statement.returning(profiles.c.name)).scalars().all(), ['b'])
        self.assertEqual(self.all(), {'a': 0, 'b': 9})

    def test_do_nothing(self):
        self.fill('a')
        with engine.begin() as connection:
            for arguments in ({}, {'index_elements': ['name']}):
                statement = insert(profiles).values([row('a', visits=9), row('b' + str(arguments), visits=1)])
                self.assertEqual(connection.execute(statement.on_conflict_do_nothing(**arguments)).rowcount, 1)
        self.assertEqual(self.all()['a'], 0)

    def test_errors(self):
        self.fill('a')

        def fails(error, **values):
            with self.assertRaises(error):
                with engine.begin() as connection:
                    connection.execute(sa.insert(profiles).values(row(**values)))

        fails(IntegrityError, name='a')
        fails(IntegrityError, name=None)
        fails(IntegrityError, name='b', active=None)
        fails(DataError, name='k' * 51)
        fails(DataError, name='b', balance=10 ** 12)
        self.assertEqual(self.all(), {'a': 0})

    def test_savepoints(self):
        self.session.add(Profile(name='a'))
        self.session.flush()
        try:
            with self.session.begin_nested():
                self.session.execute(sa.insert(profiles).values(row('a')))
        except IntegrityError:
            pass
        self.session.add(Profile(name='b'))
        self.session.commit()
        self.assertEqual(self.all(), {'a': 0, 'b': 0})

    def test_rollback(self):
        """On a map what was written stays: that is what is documented."""
        self.session.add(Profile(name='a'))
        self.session.flush()
        self.session.rollback()
        self.assertEqual(self.all(), {'a': 0} if tap.MAP else {})

    def test_for_update(self):
        """A map has no row locks, and says so."""
        self.fill('a')
        lock = sa.select(Profile).with_for_update()
        if tap.MAP:
            with self.assertRaises(DBAPIError) as caught:
                self.session.execute(lock).all()
            self.assertEqual(caught.exception.orig.pgcode, '0A000')
        else:
            self.assertEqual(len(self.session.execute(lock).all()), 1)

    def test_expires(self):
        """By itself on a map; a table's reader has to ask."""
        self.fill('a', expires=datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=2))
        self.fill('b', expires=datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=60))
        self.fill('c')
        unexpired = sa.select(profiles.c.name)
        if not tap.MAP:
            unexpired = unexpired.where(sa.or_(profiles.c.expires.is_(None), profiles.c.expires > sa.func.clock_timestamp()))
        with engine.connect() as connection:
            self.assertEqual(sorted(connection.execute(unexpired).scalars()), ['a', 'b', 'c'])
            time.sleep(2.2)
            self.assertEqual(sorted(connection.execute(unexpired).scalars()), ['b', 'c'])

    # ---- several at once

    def test_increments_at_once(self):
        """UPDATE SET visits = visits + 1 by key: none is lost."""
        self.fill('a')

        def run(i):
            for _ in range(50):
                with engine.begin() as connection:
                    connection.execute(sa.update(profiles).where(profiles.c.name == 'a').values(visits=profiles.c.visits + 1))

        self.at_once(8, run)
        self.assertEqual(self.all(), {'a': 400})

    def test_upserts_at_once(self):
        def run(i):
            statement = insert(profiles).values(row('a', visits=1))
            statement = statement.on_conflict_do_update(index_elements=['name'], set_={'visits': profiles.c.visits + 1})
            for _ in range(50):
                with engine.begin() as connection:
                    connection.execute(statement)

        self.at_once(8, run)
        self.assertEqual(self.all(), {'a': 400})

    def test_versions_at_once(self):
        """Optimistic locking by a version: who is late is told, and tries again."""
        self.fill('a')

        def run(i):
            for _ in range(20):
                while True:
                    try:
                        with orm.Session(engine, future=True) as session:
                            session.get(Profile, 'a').visits += 1
                            session.commit()
                            break
                    except StaleDataError:
                        pass

        self.at_once(4, run)
        self.assertEqual(self.all(), {'a': 80})

    def test_different_columns_at_once(self):
        """Each changes its own column of the same row."""
        self.fill('a')

        def run(i):
            for j in range(1, 51):
                values = {'visits': j} if i == 0 else {'balance': j} if i == 1 else {'settings': {'n': j}}
                with engine.begin() as connection:
                    connection.execute(sa.update(profiles).where(profiles.c.name == 'a').values(**values))

        self.at_once(3, run)
        found = self.session.get(Profile, 'a')
        self.assertEqual((found.visits, found.balance, found.settings), (50, 50, {'n': 50}))


result = tap.Runner().run(unittest.defaultTestLoader.loadTestsFromTestCase(SQLAlchemy))
sys.exit(not result.wasSuccessful())
