package autoloader.reading;

import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.json.JsonExpressionUtils;
import org.apache.spark.sql.catalyst.expressions.json.JsonToStructsEvaluator;
import org.apache.spark.sql.catalyst.json.JSONOptions;
import org.apache.spark.sql.catalyst.util.ArrayData;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.unsafe.types.UTF8String;
import scala.Option;
import scala.collection.immutable.Map;

/**
 * What Spark's own functions say of a line that is not plain: {@code from_json}, and {@code json_object_keys}. Asked
 * here, since a step of Spark's plan would pass all the lines that are plain as well.
 */
final class OddLine {
    private final JsonToStructsEvaluator fromJson;

    OddLine(StructType record, JSONOptions json, boolean duplicates) {
        Map<String, String> options =
                new Map.Map2<>("mode", "PERMISSIVE", "columnNameOfCorruptRecord", json.columnNameOfCorruptRecord());
        var zone = Option.apply(json.zoneId().getId());
        this.fromJson =
                new JsonToStructsEvaluator(options, record, json.columnNameOfCorruptRecord(), zone, duplicates);
    }

    /** What fits of it, and all of it in the field for that if something does not; null: it is blank. */
    InternalRow record(UTF8String line) {
        return (InternalRow) fromJson.evaluate(line);
    }

    /** The names of its fields; null: it is no object. */
    ArrayData names(UTF8String line) {
        return JsonExpressionUtils.jsonObjectKeys(line);
    }
}
