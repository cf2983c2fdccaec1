package autoloader.reading;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.Serializable;
import java.util.Arrays;
import java.util.HashMap;
import org.apache.spark.sql.catalyst.json.JSONOptions;
import org.apache.spark.sql.types.StructType;
import scala.collection.immutable.Map;
import scala.jdk.javaapi.CollectionConverters;

/**
 * What is to be read, for all files alike; it travels to every task.
 *
 * <p>Options, each a JSON array of texts: {@code autoloader.files}, the paths of the files as Hadoop prints them, by
 * their position; {@code autoloader.required}, the names of fields that a line must have to be plain. {@code
 * autoloader.strangers}: {@code skip} leaves out a file that is not among them, unopened; else its lines are read, and
 * have no position.
 */
final class Order implements Serializable {
    private static final long serialVersionUID = 1L;

    final StructType record;
    final String[] required;
    final JSONOptions json;
    final boolean skipsStrangers;

    /** Where the record, the line and the file stand in what is asked for; -1: not asked for. */
    final int recordAt;
    final int rawAt;
    final int fileAt;
    final int width;

    private final String[] files;
    private transient HashMap<String, Integer> positions;

    private Order(
            StructType data,
            StructType asked,
            String[] files,
            String[] required,
            boolean skipsStrangers,
            JSONOptions json) {
        this.record = (StructType) data.apply(Records.RECORD).dataType();
        this.json = json;
        this.files = files;
        this.required = required;
        this.skipsStrangers = skipsStrangers;
        var names = Arrays.asList(asked.fieldNames());
        this.recordAt = names.indexOf(Records.RECORD);
        this.rawAt = names.indexOf(Records.RAW);
        this.fileAt = names.indexOf(Records.FILE);
        this.width = names.size();
    }

    /** {@code data}: all columns that the source has; {@code asked}: those of them that are wanted. */
    static Order of(StructType data, StructType asked, Map<String, String> options, JSONOptions json) {
        return new Order(
                data,
                asked,
                texts(options, "autoloader.files"),
                texts(options, "autoloader.required"),
                "skip".equals(option(options, "autoloader.strangers", "read")),
                json);
    }

    /** The position of a file; null: a stranger. */
    synchronized Integer positionOf(String path) {
        if (positions == null) {
            positions = new HashMap<>();
            for (int at = 0; at < files.length; at++) {
                positions.put(files[at], at);
            }
        }
        return positions.get(path);
    }

    private static String[] texts(Map<String, String> options, String name) {
        try {
            return new ObjectMapper().readValue(option(options, name, "[]"), String[].class);
        } catch (JsonProcessingException e) {
            throw new IllegalArgumentException("the option " + name + " is no JSON array of texts", e);
        }
    }

    private static String option(Map<String, String> options, String name, String otherwise) {
        return CollectionConverters.asJava(options).getOrDefault(name, otherwise);
    }
}
