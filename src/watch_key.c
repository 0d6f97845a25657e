/*
 * watch_key.c
 *	  The key of a watch: an expression over the rows of its table.
 *
 * It stands in the triggers' arguments as text, for the sake of dumps, with all names in it
 * qualified.  Each session parses it with the same settings (fixed.c), and what it uses must
 * be what the trigger depends on.
 */
#include "compat.h"

#include "access/table.h"
#include "access/transam.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_relation.h"
#include "parser/parser.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"

#include "fixed.h"
#include "types.h"
#include "watch.h"

static _Noreturn void
not_an_expression(const char *key)
{
	ereport(ERROR,
			(errcode(ERRCODE_SYNTAX_ERROR),
			 errmsg("\"%s\" is not an expression over a row", key)));
	pg_unreachable();
}

/* Parses SELECT expression, of which nothing but an expression may come. */
static Node *
parse_expression(const char *key)
{
	List *trees = raw_parser(key, RAW_PARSE_PLPGSQL_EXPR);
	SelectStmt *select;
	ResTarget *target;

	if (list_length(trees) != 1)
		not_an_expression(key);
	select = (SelectStmt *) linitial_node(RawStmt, trees)->stmt;
	if (!IsA(select, SelectStmt) || list_length(select->targetList) != 1 ||
		select->distinctClause != NIL || select->fromClause != NIL ||
		select->whereClause != NULL || select->groupClause != NIL ||
		select->havingClause != NULL || select->windowClause != NIL ||
		select->valuesLists != NIL || select->sortClause != NIL ||
		select->limitOffset != NULL || select->limitCount != NULL ||
		select->lockingClause != NIL || select->withClause != NULL ||
		select->op != SETOP_NONE)
		not_an_expression(key);
	target = linitial_node(ResTarget, select->targetList);
	if (target->name != NULL ||
		(IsA(target->val, ColumnRef) &&
		 IsA(llast(((ColumnRef *) target->val)->fields), A_Star)))
		not_an_expression(key);
	return target->val;
}

static Node *
transform_key(Relation source, const char *key)
{
	ParseState *pstate = make_parsestate(NULL);
	ParseNamespaceItem *item =
		addRangeTableEntryForRelation(pstate, source, AccessShareLock, NULL, false,
									  true);

	addNSItemToQuery(pstate, item, false, true, true);
	return transformExpr(pstate, parse_expression(key), EXPR_KIND_TRIGGER_WHEN);
}

static bool
has_system_column(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var) && ((Var *) node)->varattno <= 0)
		return true;
	return expression_tree_walker(node, has_system_column, context);
}

/* Does an expression use a column that is computed when it is read? */
static bool
has_virtual_column(Node *node, void *desc)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var) && ((Var *) node)->varattno > 0 &&
		SM_IS_VIRTUAL(TupleDescAttr((TupleDesc) desc, ((Var *) node)->varattno - 1)))
		return true;
	return expression_tree_walker(node, has_virtual_column, desc);
}

/*
 * A transformed key as one of a map's type, of which it is an assignment.  Raises 42804
 * there is none; 42P17 its value may differ from time to time; 0A000 it is not of columns.
 */
static Node *
finish_key(Node *key, const sm_types *types)
{
	ParseState *pstate = make_parsestate(NULL);
	Oid from = exprType(key);
	Oid type = types->key_type;
	Node *result = coerce_to_target_type(pstate, key, from, type, -1,
										 COERCION_ASSIGNMENT, COERCE_IMPLICIT_CAST, -1);

	if (result == NULL)
		ereport(
			ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg(
				 "the key's expression is of type %s, but the map's keys are of type %s",
				 format_type_be(from), format_type_be(type)),
			 errhint("Cast it, in the expression.")));
	/*
	 * A timestamp(0) is rounded, as where it is stored.  What is too long for the map is
	 * cut: no such key is there, and whoever changes the table shall not fail for it.
	 */
	result = coerce_to_target_type(pstate, result, type, type, types->key_typmod,
								   COERCION_EXPLICIT, COERCE_EXPLICIT_CAST, -1);
	assign_expr_collations(pstate, result);
	if (has_system_column(result, NULL))
		ereport(
			ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg(
				 "the key's expression cannot use system columns, or the row as a whole")));
	if (contain_mutable_functions(result))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("functions in the key's expression must be marked IMMUTABLE")));
	return result;
}

/*
 * Does an expression use an object that the trigger does not depend on?  Its text may have
 * come to mean another one, which somebody has made since.
 */
static bool
has_stranger(Node *node, void *trigger)
{
	Oid class = ProcedureRelationId;
	Oid object = InvalidOid;

	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_FuncExpr:
			object = ((FuncExpr *) node)->funcid;
			break;
		case T_OpExpr:
		case T_DistinctExpr:
		case T_NullIfExpr:
			class = OperatorRelationId;
			object = ((OpExpr *) node)->opno;
			break;
		case T_ScalarArrayOpExpr:
			class = OperatorRelationId;
			object = ((ScalarArrayOpExpr *) node)->opno;
			break;
		case T_CoerceViaIO:
			class = TypeRelationId;
			object = ((CoerceViaIO *) node)->resulttype;
			break;
		case T_Const:
			class = TypeRelationId;
			object = ((Const *) node)->consttype;
			break;
		default:
			break;
	}
	if (object >= FirstNormalObjectId &&
		!sm_watch_uses(*(const Oid *) trigger, class, object))
		return true;
	return expression_tree_walker(node, has_stranger, trigger);
}

/*
 * The key that the trigger of a watch says, as an expression whose Vars are source's
 * columns.  Names in it are qualified, and looked up with the rights of source's owner.
 * trigger is InvalidOid if it is not known yet what it depends on.
 *
 * Errors: what the parser raises, and 42804, 42P17, 0A000; 55000 it means something else
 * than when it was declared.
 */
Node *
sm_watch_key(Relation source, const char *key, const sm_types *types, Oid trigger)
{
	Node *result;
	Oid userid;
	int context;
	int level;

	GetUserIdAndSecContext(&userid, &context);
	SetUserIdAndSecContext(source->rd_rel->relowner,
						   context | SECURITY_LOCAL_USERID_CHANGE |
							   SECURITY_RESTRICTED_OPERATION);
	level = sm_fixed_begin();
	result = finish_key(transform_key(source, key), types);
	sm_fixed_end(level);
	SetUserIdAndSecContext(userid, context);
	if (has_virtual_column(result, RelationGetDescr(source)))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the key's expression cannot use virtual generated columns"),
				 errhint("Write what they are generated from.")));
	if (OidIsValid(trigger) && has_stranger(result, &trigger))
		ereport(
			ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg(
				 "the key \"%s\" of a watch of table \"%s\" means something else by now",
				 key, RelationGetRelationName(source)),
			 errhint("Use syncmap.unwatch, and syncmap.watch afterwards.")));
	return result;
}

/* What the columns of a map are. */
sm_types
sm_watch_types(Oid map)
{
	Relation rel = table_open(map, AccessShareLock);
	sm_types types;

	sm_types_read(rel, &types);
	table_close(rel, NoLock);
	return types;
}

/* A key's expression with all names in it qualified. */
char *
sm_watch_qualify_key(Oid source, const char *key, const sm_types *types)
{
	Relation rel = table_open(source, NoLock);
	Node *expr = transform_key(rel, key);
	char *result;
	int level;

	(void) finish_key(copyObject(expr), types);
	level = sm_fixed_begin();
	result =
		deparse_expression(expr,
						   deparse_context_for(RelationGetRelationName(rel), source),
						   false, false);
	sm_fixed_end(level);
	table_close(rel, NoLock);
	return result;
}
